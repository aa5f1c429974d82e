// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gm-traffic: sends and receives numbered datagrams, or a stream of known bytes,
 * for tests and measurements of network drivers. Both ends check what arrives: a
 * datagram's number, length and content, or the place of each byte in the stream.
 *
 *	gm-traffic receive udp PORT COUNT	until COUNT have come, or none for IDLE ms
 *	gm-traffic send udp ADDRESS PORT SIZE COUNT [PAUSE]
 *	gm-traffic receive tcp PORT
 *	gm-traffic send tcp ADDRESS PORT [BYTES]	without end, until SIGTERM
 *
 * SIZE is that of the UDP payload. PAUSE is in microseconds, after every BURST
 * datagrams, so that a receiver on the same CPU gets its turn. The receiver prints
 * "ready" when it can be sent to. Each prints one line of figures at the end and
 * exits with 1 if what came was not what was sent; lost datagrams are counted, not
 * an error.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NUMBER	sizeof(uint64_t)	/* at the start of each datagram */
#define LARGEST	65507			/* that UDP has room for */
#define BURST	16
#define IDLE	5000			/* ms without a datagram, after the first */
#define FIRST	60000			/* ms until there is one */
#define BUFFER	(4 << 20)		/* of a socket */

#define CHUNK	(1 << 16)		/* of what is read and written at once */
#define PERIOD	65521			/* of the stream's content: a prime, so that no part
					   which is left out or comes twice goes unnoticed */

static volatile sig_atomic_t ended;	/* by SIGTERM */
static uint8_t block[CHUNK];
static uint8_t content[PERIOD + CHUNK];	/* of a stream, or of a datagram, from its start */

static unsigned long number(const char *text, unsigned long most)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || value > most)
		errx(2, "'%s' is no number from 0 to %lu", text, most);
	return value;
}

static void make_content(void)
{
	uint64_t i;

	for (i = 0; i < sizeof(content); i++)
		content[i] = (i % PERIOD * 0x9e3779b97f4a7c15) >> 56;
}

static int open_socket(int type, struct sockaddr_in *where, const char *address,
		       const char *port)
{
	int one = 1, size = BUFFER, s = socket(AF_INET, type, 0);

	memset(where, 0, sizeof(*where));
	where->sin_family = AF_INET;
	where->sin_port = htons(number(port, UINT16_MAX));
	if (address && inet_pton(AF_INET, address, &where->sin_addr) != 1)
		errx(2, "'%s' is no IPv4 address", address);
	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		err(1, "socket");
	/* Root may have more than the system's limit. */
	if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		warn("a larger buffer");
	return s;
}

static int bound_socket(int type, const char *port)
{
	struct sockaddr_in where;
	int s = open_socket(type, &where, NULL, port);

	if (bind(s, (struct sockaddr *)&where, sizeof(where)))
		err(1, "bind to port %s", port);
	return s;
}

static int connected_socket(int type, const char *address, const char *port)
{
	struct sockaddr_in where;
	int s = open_socket(type, &where, address, port);

	if (connect(s, (struct sockaddr *)&where, sizeof(where)))
		err(1, "connect to %s port %s", address, port);
	return s;
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

/* --- datagrams -------------------------------------------------------------- */

static int send_udp(const char *address, const char *port, size_t size, uint64_t count,
		    unsigned long pause)
{
	const struct timespec rest = { pause / 1000000, pause % 1000000 * 1000 };
	int s = connected_socket(SOCK_DGRAM, address, port);
	uint64_t i, full = 0;

	memcpy(block, content, size);
	for (i = 0; i < count; i++) {
		uint64_t id = htobe64(i);

		memcpy(block, &id, NUMBER);
		while (send(s, block, size, 0) < 0) {
			if (errno != ENOBUFS && errno != ECONNREFUSED)
				err(1, "send");
			full++;
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		}
		if (pause && i % BURST == BURST - 1)
			nanosleep(&rest, NULL);
	}
	printf("sent %" PRIu64 " bytes %" PRIu64 " full %" PRIu64 "\n", count, count * size, full);
	return 0;
}

/* Is this what send_udp() has sent, with a number that has not come yet? */
static bool expected(const uint8_t *data, size_t size, uint64_t count, uint8_t *seen,
		     uint64_t *repeated)
{
	uint64_t id;

	if (size < NUMBER)
		return false;
	memcpy(&id, data, NUMBER);
	id = be64toh(id);
	if (id >= count)
		return false;
	*repeated += seen[id];
	seen[id] = 1;
	return !memcmp(data + NUMBER, content + NUMBER, size - NUMBER);
}

static int receive_udp(const char *port, uint64_t count)
{
	struct pollfd waiting = { .fd = bound_socket(SOCK_DGRAM, port), .events = POLLIN };
	uint64_t came = 0, bytes = 0, repeated = 0, wrong = 0;
	uint8_t *seen = calloc(count + 1, 1);

	if (!seen)
		err(1, "memory for %" PRIu64 " datagrams", count);
	ready();
	while (came - repeated < count && poll(&waiting, 1, came ? IDLE : FIRST) > 0) {
		ssize_t size = recv(waiting.fd, block, sizeof(block), 0);

		if (size < 0)
			err(1, "recv");
		if (!expected(block, size, count, seen, &repeated)) {
			wrong++;
			continue;
		}
		came++;
		bytes += size;
	}
	printf("received %" PRIu64 " bytes %" PRIu64 " lost %" PRIu64 " repeated %" PRIu64
	       " wrong %" PRIu64 "\n", came, bytes, count - (came - repeated), repeated, wrong);
	free(seen);
	return wrong ? 1 : 0;
}

/* --- a stream ---------------------------------------------------------------- */

static void end(int number)
{
	(void)number;
	ended = 1;
}

static int send_tcp(const char *address, const char *port, uint64_t total)
{
	const struct sigaction action = { .sa_handler = end };
	int s = connected_socket(SOCK_STREAM, address, port);
	uint64_t done = 0;

	/* No SA_RESTART: what waits for room returns. */
	if (sigaction(SIGTERM, &action, NULL))
		err(1, "sigaction");
	while (done < total && !ended) {
		size_t size = total - done < CHUNK ? total - done : CHUNK;
		ssize_t n = send(s, content + done % PERIOD, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err(1, "send, after %" PRIu64 " bytes", done);
		done += n;
	}
	/* It has all arrived when the other side closes, too. */
	if (shutdown(s, SHUT_WR) || recv(s, block, 1, 0))
		err(1, "the end of the stream");
	printf("sent bytes %" PRIu64 "\n", done);
	return 0;
}

static int receive_tcp(const char *port)
{
	int listener = bound_socket(SOCK_STREAM, port), s;
	struct pollfd waiting = { .fd = listener, .events = POLLIN };
	bool wrong = false;
	uint64_t done = 0;
	ssize_t n;

	if (listen(listener, 1))
		err(1, "listen");
	ready();
	if (poll(&waiting, 1, FIRST) <= 0)
		errx(1, "nobody has connected");
	s = accept(listener, NULL, NULL);
	if (s < 0)
		err(1, "accept");
	while ((n = recv(s, block, sizeof(block), 0)) > 0) {
		wrong |= memcmp(block, content + done % PERIOD, n);
		done += n;
	}
	if (n < 0)
		err(1, "recv, after %" PRIu64 " bytes", done);
	close(s);
	printf("received bytes %" PRIu64 "%s\n", done, wrong ? ", not those sent" : "");
	return wrong ? 1 : 0;
}

static void usage(FILE *where)
{
	fputs("usage: gm-traffic receive udp PORT COUNT\n"
	      "       gm-traffic send udp ADDRESS PORT SIZE COUNT [PAUSE]\n"
	      "       gm-traffic receive tcp PORT\n"
	      "       gm-traffic send tcp ADDRESS PORT [BYTES]\n", where);
}

int main(int argc, char **argv)
{
	bool sends, udp;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		usage(stdout);
		return 0;
	}
	if (argc < 4 || (strcmp(argv[1], "send") && strcmp(argv[1], "receive")) ||
	    (strcmp(argv[2], "udp") && strcmp(argv[2], "tcp"))) {
		usage(stderr);
		return 2;
	}
	make_content();
	sends = !strcmp(argv[1], "send");
	udp = !strcmp(argv[2], "udp");
	if (sends && udp && (argc == 7 || argc == 8)) {
		size_t size = number(argv[5], LARGEST);

		if (size < NUMBER)
			errx(2, "a datagram has %zu bytes at least", NUMBER);
		return send_udp(argv[3], argv[4], size, number(argv[6], UINT32_MAX),
				argc == 8 ? number(argv[7], UINT32_MAX) : 0);
	}
	if (sends && !udp && (argc == 5 || argc == 6))
		return send_tcp(argv[3], argv[4],
				argc == 6 ? number(argv[5], LONG_MAX) : UINT64_MAX);
	if (!sends && udp && argc == 5)
		return receive_udp(argv[3], number(argv[4], UINT32_MAX));
	if (!sends && !udp && argc == 4)
		return receive_tcp(argv[3]);
	usage(stderr);
	return 2;
}
