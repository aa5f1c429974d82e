// SPDX-License-Identifier: GPL-2.0
/*
 * Memory, messages and whole files.
 *
 * Keeps: a failed run leaves nothing behind (write_output), and every message
 * says where it is about and what to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "gmcc.h"

#define INPUT_MAX	(256UL << 20)	/* unpacked */
#define MAX_MESSAGES	20

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

struct chunk {
	struct chunk *next;
	max_align_t data[];
};

struct ending {
	struct ending *next;
	void (*fn)(void *);
	void *arg;
};

int die_status = EXIT_REFUSED;
void (*run_over)(int status);

static struct ending *endings;

static struct chunk *arena;
static char *temp_file;
static unsigned int nr_refused;

void run_release(void)
{
	if (temp_file)
		unlink(temp_file);
	temp_file = NULL;
	for (; endings; endings = endings->next)
		endings->fn(endings->arg);
	while (arena) {
		struct chunk *next = arena->next;

		free(arena);
		arena = next;
	}
	nr_refused = 0;
}

_Noreturn void run_exit(int status)
{
	if (run_over)
		run_over(status);
	exit(status);
}

void at_end(void (*fn)(void *), void *arg)
{
	struct ending *e = xalloc(sizeof(*e));

	*e = (struct ending){ .next = endings, .fn = fn, .arg = arg };
	endings = e;
}

_Noreturn static void no_memory(void)
{
	fprintf(stderr, "gmcc: out of memory\n");
	run_exit(EXIT_REFUSED);
}

static void release_at_exit(void)
{
	static bool registered;

	if (!registered)
		registered = !atexit(run_release);
}

#ifdef SANITIZED
/* Each on its own, so that the sanitizer sees where it ends. */
void *xalloc(size_t size)
{
	struct chunk *p = calloc(1, sizeof(*p) + size);

	if (!p)
		no_memory();
	release_at_exit();
	p->next = arena;
	arena = p;
	return p->data;
}

void xalloc_afresh(void)
{
}
#else
static uint8_t *block, *block_end;

void xalloc_afresh(void)
{
	block = block_end = NULL;
}

/* From blocks of huge pages: most of the time would go into page faults. */
void *xalloc(size_t size)
{
	const size_t huge = 2UL << 20, most = 1UL << 40;
	size_t room = ((size ?: 1) + 15) & ~15UL;	/* never NULL */

	if (size > most)
		no_memory();
	if (room > (size_t)(block_end - block)) {
		size_t len = ((room > 4 * huge ? room : 4 * huge) + huge - 1) & ~(huge - 1);
		uint8_t *p = mmap(NULL, len + huge, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			no_memory();
		release_at_exit();
		block = (uint8_t *)(((uintptr_t)p + huge - 1) & ~(huge - 1));
		block_end = block + len;
		madvise(block, len, MADV_HUGEPAGE);
	}
	block += room;
	return block - room;
}
#endif

void *xmemdup(const void *p, size_t size)
{
	void *n = xalloc(size);

	if (size)
		memcpy(n, p, size);
	return n;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	s = xalloc(n + 1);
	va_start(ap, fmt);
	vsnprintf(s, n + 1, fmt, ap);
	va_end(ap);
	return s;
}

void *xarray(size_t nr, size_t elem)
{
	size_t cap = 1;

	while (cap < nr)
		cap *= 2;
	return xalloc(cap * elem);
}

void *xgrow(void *array, size_t nr, size_t elem)
{
	void *n;

	if (nr & (nr - 1))
		return array;
	n = xalloc((nr ? 2 * nr : 1) * elem);
	if (nr)
		memcpy(n, array, nr * elem);
	return n;
}

_Noreturn void die(const char *file, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "gmcc: %s: ", file);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	run_exit(die_status);
}

/* The symbol that names a place best: what covers it, functions first. */
static const char *symbol_near(const struct obj *o, const struct sec *s, uint64_t off)
{
	const struct sym *best = func_of(s, off);

	for (size_t i = 1; !best && i < o->nr_syms; i++) {
		const struct sym *y = o->syms[i];

		if (y->sec == s && ELF64_ST_TYPE(y->info) == STT_OBJECT &&
		    off >= y->value && off - y->value < y->size)
			best = y;
	}
	return best ? best->name : NULL;
}

void refuse(const struct obj *o, const struct sec *s, uint64_t off, const char *fmt, ...)
{
	const char *near = symbol_near(o, s, off);
	va_list ap;

	if (nr_refused++ >= MAX_MESSAGES)
		return;
	fprintf(stderr, "gmcc: %s: %s+0x%llx", o->file, s->name, (unsigned long long)off);
	if (near)
		fprintf(stderr, " (%s)", near);
	fputs(": ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void refused_exit(const struct obj *o)
{
	if (!nr_refused)
		return;
	if (nr_refused > MAX_MESSAGES)
		fprintf(stderr, "gmcc: %s: and %u more.\n", o->file, nr_refused - MAX_MESSAGES);
	run_exit(EXIT_REFUSED);
}

static void end_xz(void *st)
{
	lzma_end(st);
}

static uint8_t *unpack_xz(const char *file, const uint8_t *in, size_t n, size_t *size)
{
	lzma_stream *st = xalloc(sizeof(*st));
	/* Modules shrink to a fifth or less. */
	size_t cap = 8 * n + 4096;
	uint8_t *out = xalloc(cap);
	lzma_ret r;

	*st = (lzma_stream)LZMA_STREAM_INIT;
	at_end(end_xz, st);
	r = lzma_stream_decoder(st, 2 * INPUT_MAX, 0);
	st->next_in = in;
	st->avail_in = n;
	st->next_out = out;
	st->avail_out = cap;
	while (r == LZMA_OK) {
		r = lzma_code(st, LZMA_FINISH);
		if (r != LZMA_OK || st->avail_out || cap >= INPUT_MAX)
			break;
		cap *= 2;
		out = memcpy(xalloc(cap), out, st->total_out);
		st->next_out = out + st->total_out;
		st->avail_out = cap - st->total_out;
	}
	if (r != LZMA_STREAM_END || st->avail_in)
		die(file, "not a valid xz file. Unpack it by other means.");
	*size = st->total_out;
	return out;
}

static uint8_t *unpack_zstd(const char *file, const uint8_t *in, size_t n, size_t *size)
{
	unsigned long long len = ZSTD_getFrameContentSize(in, n);
	uint8_t *out;

	if (len == ZSTD_CONTENTSIZE_ERROR || len == ZSTD_CONTENTSIZE_UNKNOWN || len > INPUT_MAX)
		die(file, "not a zstd file of known size. Unpack it by other means.");
	out = xalloc(len);
	*size = ZSTD_decompress(out, len, in, n);
	if (ZSTD_isError(*size) || *size != len)
		die(file, "not a valid zstd file. Unpack it by other means.");
	return out;
}

uint8_t *read_input(const char *file, size_t *size)
{
	uint8_t *data;
	struct stat st;
	size_t n = 0;
	FILE *f;

	f = fopen(file, "rb");
	if (!f || fstat(fileno(f), &st))
		die(file, "%s.", strerror(errno));
	if (!S_ISREG(st.st_mode)) {
		fclose(f);
		die(file, "not a regular file.");
	}
	if ((uint64_t)st.st_size > INPUT_MAX) {
		fclose(f);
		die(file, "larger than %lu MiB.", INPUT_MAX >> 20);
	}
	data = xalloc(st.st_size);
	n = fread(data, 1, st.st_size, f);
	fclose(f);
	if (n != (size_t)st.st_size)
		die(file, "short read.");
	*size = n;
	if (n > 6 && !memcmp(data, "\xfd" "7zXZ\0", 6))
		return unpack_xz(file, data, n, size);
	if (n > 4 && !memcmp(data, "\x28\xb5\x2f\xfd", 4))
		return unpack_zstd(file, data, n, size);
	return data;
}

void write_output(const char *file, const void *data, size_t size)
{
	char *tmp = xasprintf("%s.XXXXXX", file);
	mode_t mask = umask(0);
	size_t done = 0;
	int fd;

	umask(mask);
	fd = mkstemp(tmp);
	if (fd < 0)
		die(file, "cannot create: %s.", strerror(errno));
	temp_file = tmp;
	while (done < size) {
		ssize_t n = write(fd, (const char *)data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die(file, "cannot write: %s.", strerror(errno));
		done += n;
	}
	if (fchmod(fd, 0666 & ~mask) || close(fd) || rename(tmp, file))
		die(file, "cannot write: %s.", strerror(errno));
	temp_file = NULL;
}
