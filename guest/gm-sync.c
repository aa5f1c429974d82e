// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gm-load sync: a folder below /lib/modules has the images that the host
 * offers, so that modprobe finds them.
 *
 * What is in the folder and not ours is never touched. Ours is a file with a
 * name and a hash that the record has. The record is written before the files
 * that it speaks of, so that whatever interrupts us leaves files that the next
 * sync knows, and says `pending' until depmod has run for them. A file appears
 * whole or not at all: written under another name, synced, renamed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gm-load.h"

#define MODULES		"/lib/modules"
#define SUBFOLDER	"updates/guarded"
#define RECORD		".gm-load.list"
#define TEMPORARY	".gm-load.XXXXXX"
#define PENDING		"pending"

/* A file that we wrote, or are about to. */
struct entry {
	char name[NAME_LEN];
	uint64_t hash;
};

struct record {
	size_t count;
	struct entry *list;
	bool pending;
};

struct folder {
	char path[PATH_MAX];
	char release[sizeof(((struct utsname *)0)->release)];
	int fd;
	bool standard;		/* where this kernel's depmod looks */
	struct record record;
	unsigned int kept, written, removed;
};

/* FNV-1a: who may write here needs no collision to do harm. */
static uint64_t hash_of(const uint8_t *data, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325;

	while (size--)
		hash = (hash ^ *data++) * 0x100000001b3;
	return hash;
}

static const char *file_name(const char *name)
{
	static char file[NAME_LEN + 4];

	snprintf(file, sizeof(file), "%s.ko", name);
	return file;
}

/* --- files ---------------------------------------------------------------------- */

/* The whole of an ordinary file, or NULL with errno. */
static uint8_t *read_file(const struct folder *folder, const char *name,
			  size_t *size)
{
	uint8_t *data = NULL;
	struct stat st;
	ssize_t n;
	int fd;

	fd = openat(folder->fd, name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		errno = EINVAL;
		return NULL;
	}
	data = allocate(st.st_size);
	for (*size = 0; *size < (size_t)st.st_size; *size += n) {
		n = read(fd, data + *size, st.st_size - *size);
		if (n <= 0) {
			free(data);
			data = NULL;
			errno = EIO;
			break;
		}
	}
	close(fd);
	return data;
}

/* Make @name hold just this; false, and nothing has changed, if that fails. */
static bool put_file(struct folder *folder, const char *name, const void *data,
		     size_t size)
{
	char path[PATH_MAX + 32];
	const char *at = data;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder->path, TEMPORARY);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		complain("cannot create a file in %s: %s", folder->path,
			 strerror(errno));
		return false;
	}
	while (size) {
		n = write(fd, at, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			goto fail;
		at += n;
		size -= n;
	}
	if (fchmod(fd, 0644) || fsync(fd) ||
	    renameat(AT_FDCWD, path, folder->fd, name))
		goto fail;
	close(fd);
	return true;
fail:
	complain("cannot write %s/%s: %s", folder->path, name, strerror(errno));
	close(fd);
	unlink(path);
	return false;
}

/* --- the record ----------------------------------------------------------------- */

static bool record_has(const struct record *record, const char *name,
		       uint64_t hash)
{
	size_t i;

	for (i = 0; i < record->count; i++)
		if (record->list[i].hash == hash &&
		    !strcmp(record->list[i].name, name))
			return true;
	return false;
}

static void record_add(struct record *record, const char *name, uint64_t hash)
{
	struct entry *entry;

	if (record_has(record, name, hash))
		return;
	record->list = realloc(record->list,
			       (record->count + 1) * sizeof(*record->list));
	if (!record->list)
		die("no memory");
	entry = &record->list[record->count++];
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->hash = hash;
}

/* Lines that are not as we write them are of no use, and of no harm. */
static void record_read(struct folder *folder)
{
	int fd = openat(folder->fd, RECORD, O_RDONLY | O_CLOEXEC);
	char line[256], name[NAME_LEN];
	unsigned long long hash;
	FILE *f;

	if (fd < 0) {
		if (errno != ENOENT)
			die("cannot read %s/%s: %s", folder->path, RECORD,
			    strerror(errno));
		return;
	}
	f = fdopen(fd, "r");
	if (!f)
		die("no memory");
	while (fgets(line, sizeof(line), f)) {
		if (!strcmp(line, PENDING "\n"))
			folder->record.pending = true;
		else if (sscanf(line, "%63s %llx", name, &hash) == 2 &&
			 image_name_valid(name))
			record_add(&folder->record, name, hash);
	}
	fclose(f);
}

/* If it is not so already. */
static bool record_write(struct folder *folder)
{
	const struct record *record = &folder->record;
	size_t i, size, old_size;
	char *text = NULL;
	uint8_t *old;
	bool done;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		die("no memory");
	fputs("# What gm-load sync wrote here, and the hash of each file.\n", f);
	if (record->pending)
		fputs(PENDING "\n", f);
	for (i = 0; i < record->count; i++)
		fprintf(f, "%s %016llx\n", record->list[i].name,
			(unsigned long long)record->list[i].hash);
	if (fclose(f))
		die("no memory");
	old = read_file(folder, RECORD, &old_size);
	done = (old && old_size == size && !memcmp(old, text, size)) ||
	       put_file(folder, RECORD, text, size);
	free(old);
	free(text);
	return done;
}

/* --- the folder ------------------------------------------------------------ */

enum state { ABSENT, OURS, FOREIGN };

/* What is there under a module's name; its hash if it is an ordinary file. */
static enum state look(const struct folder *folder, const char *name,
		       uint64_t *hash)
{
	uint8_t *data;
	size_t size;

	*hash = 0;
	data = read_file(folder, file_name(name), &size);
	if (!data)
		return errno == ENOENT ? ABSENT : FOREIGN;
	*hash = hash_of(data, size);
	free(data);
	return record_has(&folder->record, name, *hash) ? OURS : FOREIGN;
}

/* What an interrupted sync left of its own. */
static void remove_temporaries(const struct folder *folder)
{
	DIR *dir = opendir(folder->path);
	size_t prefix = strcspn(TEMPORARY, "X");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strlen(entry->d_name) == strlen(TEMPORARY) &&
		    !strncmp(entry->d_name, TEMPORARY, prefix))
			unlinkat(folder->fd, entry->d_name, 0);
	if (dir)
		closedir(dir);
}

static void make_folder(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		die("cannot create %s: %s%s", path, strerror(errno),
		    errno == EROFS ? " (for read-only roots there is `gm-load config')" :
		    errno == EACCES ? " (are you root?)" : "");
}

static void open_folder(struct folder *folder, const char *directory)
{
	char top[sizeof(MODULES) + sizeof(folder->release)];
	struct utsname name;
	int n;

	uname(&name);
	strcpy(folder->release, name.release);
	folder->standard = !directory;
	if (directory) {
		n = snprintf(folder->path, sizeof(folder->path), "%s", directory);
		if ((size_t)n >= sizeof(folder->path))
			die("%s: %s", directory, strerror(ENAMETOOLONG));
	} else {
		snprintf(top, sizeof(top), MODULES "/%s", folder->release);
		if (access(top, F_OK))
			die("%s: %s: the modules of the running kernel are not installed; `gm-load insert' does without",
			    top, strerror(errno));
		snprintf(folder->path, sizeof(folder->path), "%s/updates", top);
		make_folder(folder->path);
		snprintf(folder->path, sizeof(folder->path), "%s/" SUBFOLDER, top);
	}
	make_folder(folder->path);
	folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder->fd < 0)
		die("cannot open %s: %s", folder->path, strerror(errno));
}

/* --- what is to be done --------------------------------------------------------- */

/*
 * A module of another kernel would take the place of this kernel's own, and
 * then not load.
 */
static bool for_this_kernel(const struct folder *folder,
			    const struct image *image)
{
	const char *magic = image_info(image, "vermagic");
	size_t length = magic ? strcspn(magic, " ") : 0;

	if (!image_name_valid(image->name)) {
		complain("image %u: '%s' is no module's name; skipped",
			 image->index, image->name);
	} else if (!magic) {
		complain("image %u (%s) has no vermagic: no kernel loads it; skipped",
			 image->index, image->name);
	} else if (length != strlen(folder->release) ||
		   strncmp(magic, folder->release, length)) {
		complain("%s is for Linux %.*s, this is %s: the host has to register the image for this kernel; skipped",
			 image->name, (int)length, magic, folder->release);
	} else {
		return true;
	}
	return false;
}

/* The stock module that the image takes the place of, from modules.dep; or "". */
static const char *stock(const struct folder *folder, const char *name)
{
	static char line[PATH_MAX];
	char *base, *end;
	FILE *f;
	size_t i;

	snprintf(line, sizeof(line), MODULES "/%s/modules.dep", folder->release);
	f = folder->standard ? fopen(line, "re") : NULL;
	while (f && fgets(line, sizeof(line), f)) {
		end = strchr(line, ':');
		if (!end || !strncmp(line, SUBFOLDER, strlen(SUBFOLDER)))
			continue;
		*end = '\0';
		base = strrchr(line, '/');
		base = base ? base + 1 : line;
		for (i = 0; name[i]; i++)
			if (base[i] != name[i] &&
			    (base[i] != '-' || name[i] != '_'))
				break;
		if (!name[i] && !strncmp(base + i, ".ko", 3)) {
			fclose(f);
			return line;
		}
	}
	if (f)
		fclose(f);
	return "";
}

static bool loaded(const char *name)
{
	char path[NAME_LEN + 32];

	/* Built-in modules have a folder too, but no state. */
	snprintf(path, sizeof(path), "/sys/module/%s/initstate", name);
	return !access(path, F_OK);
}

static void write_image(struct folder *folder, const struct image *image)
{
	const char *instead = stock(folder, image->name);

	if (!put_file(folder, file_name(image->name), image->data, image->size))
		return;
	folder->written++;
	printf("%s: written%s%s%s%s\n", image->name, *instead ? ", instead of " : "",
	       instead, folder->standard && loaded(image->name) ?
	       "; it is loaded now: this one will be the next time" : "", "");
}

static bool run_depmod(const char *release)
{
	static const char *const places[] = {
		"/sbin/depmod", "/usr/sbin/depmod", "/bin/depmod", "/usr/bin/depmod",
	};
	size_t i;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("cannot run depmod: %s", strerror(errno));
	if (!pid) {
		for (i = 0; i < sizeof(places) / sizeof(*places); i++)
			execl(places[i], "depmod", release, (char *)NULL);
		execlp("depmod", "depmod", release, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("cannot wait for depmod: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		complain("depmod is not there, so modprobe does not know of the images yet: install kmod, or use --no-depmod");
	else if (status)
		complain("depmod failed, so modprobe does not know of the images yet: run `depmod'");
	return !status;
}

/* Forget what is not there, or not as we wrote it. */
static void record_settle(struct folder *folder)
{
	struct record old = folder->record, new = { .pending = old.pending };
	uint64_t hash;
	size_t i;

	for (i = 0; i < old.count; i++)
		if (look(folder, old.list[i].name, &hash) == OURS &&
		    hash == old.list[i].hash)
			record_add(&new, old.list[i].name, hash);
	free(old.list);
	folder->record = new;
}

static bool offered(const struct images *images, const char *name)
{
	size_t i;

	for (i = 0; i < images->count; i++)
		if (!strcmp(images->list[i].name, name))
			return true;
	return false;
}

/* Keep of the images those that have to be written. */
static void choose(struct folder *folder, struct images *images)
{
	size_t i, count = 0;
	uint64_t hash, wanted;
	enum state state;

	for (i = 0; i < images->count; i++) {
		struct image image = images->list[i];

		wanted = hash_of(image.data, image.size);
		state = look(folder, image.name, &hash);
		if (state != ABSENT && hash == wanted) {
			record_add(&folder->record, image.name, hash);
			folder->kept++;
		} else if (state == FOREIGN) {
			complain("%s/%s is not of gm-load's making, or was changed: left as it is; move it away to have the host's image",
				 folder->path, file_name(image.name));
		} else {
			images->list[i] = images->list[count];
			images->list[count++] = image;
		}
	}
	for (i = count; i < images->count; i++)
		free(images->list[i].data);
	images->count = count;
}

/* The names that are ours and not offered any more, once each. */
static size_t outdated(struct folder *folder, const struct images *images,
		       char (**names)[NAME_LEN])
{
	const struct record *record = &folder->record;
	size_t i, count = 0;
	uint64_t hash;

	*names = allocate(record->count * sizeof(**names));
	for (i = 0; i < record->count; i++)
		if (!offered(images, record->list[i].name) &&
		    look(folder, record->list[i].name, &hash) == OURS &&
		    hash == record->list[i].hash)
			strcpy((*names)[count++], record->list[i].name);
	return count;
}

static void remove_image(struct folder *folder, const char *name)
{
	if (unlinkat(folder->fd, file_name(name), 0)) {
		complain("cannot remove %s/%s: %s", folder->path,
			 file_name(name), strerror(errno));
		return;
	}
	folder->removed++;
	printf("%s: removed, the host offers it no longer\n", name);
}

/* Drop what is not for this kernel. */
static void sift(struct folder *folder, struct images *images)
{
	size_t i, count = 0;

	for (i = 0; i < images->count; i++) {
		if (for_this_kernel(folder, &images->list[i]))
			images->list[count++] = images->list[i];
		else
			free(images->list[i].data);
	}
	images->count = count;
}

static void change(struct folder *folder, const struct images *images,
		   char (*names)[NAME_LEN], size_t count)
{
	size_t i;

	for (i = 0; i < images->count; i++)
		record_add(&folder->record, images->list[i].name,
			   hash_of(images->list[i].data, images->list[i].size));
	folder->record.pending = true;
	if (!record_write(folder))
		return;
	for (i = 0; i < images->count; i++)
		write_image(folder, &images->list[i]);
	for (i = 0; i < count; i++)
		remove_image(folder, names[i]);
	fsync(folder->fd);
}

void sync_directory(const char *directory, bool depmod)
{
	struct folder folder = { 0 };
	struct images images = { 0 };
	char (*names)[NAME_LEN];
	bool ran = false;
	size_t gone;

	images_read(&images, NULL);
	open_folder(&folder, directory);
	remove_temporaries(&folder);
	record_read(&folder);

	sift(&folder, &images);
	gone = outdated(&folder, &images, &names);
	choose(&folder, &images);
	if (images.count || gone)
		change(&folder, &images, names, gone);
	depmod = depmod && folder.standard;
	if (depmod && folder.record.pending)
		ran = run_depmod(folder.release);
	if (ran || !depmod)
		folder.record.pending = false;
	record_settle(&folder);
	record_write(&folder);

	printf("%s: %u written, %u removed, %u as they were%s\n", folder.path,
	       folder.written, folder.removed, folder.kept,
	       ran ? "; depmod has run" : "");
	if (!depmod && folder.written + folder.removed)
		printf("%s\n", folder.standard ?
		       "Run `depmod', so that modprobe knows of it." :
		       "modprobe does not look there by itself.");
	images_free(&images);
	free(folder.record.list);
	free(names);
	close(folder.fd);
}
