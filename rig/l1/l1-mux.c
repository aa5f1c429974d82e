// SPDX-License-Identifier: GPL-2.0
/*
 * l1-mux LINE PATH...: in an outer machine that has nothing but a serial line to
 * the rig, make a terminal for each path, a link to it, and carry what is written
 * to and read from them over the line. The other side is rig/gmrig/mux.py.
 *
 * A frame is the channel's number, the length of its data, the data, and a CRC of
 * all that (CRC-CCITT from 0, high byte first). A frame to here is never longer
 * than the UART's FIFO, has bit TURN of the length set if it is the first, third, ...,
 * and the next one comes only when this one was acknowledged by a frame of channel ACK,
 * with the number of frames taken. What does not arrive as it was sent is not
 * acknowledged, and sent anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define ACK		255
#define HEAD		2		/* channel, length */
#define CRC		2
#define MOST_IN		(16 - HEAD - CRC)	/* the FIFO of a 16550A */
#define TURN		0x80
#define QUIET		200	/* ms: then a frame begins */
#define MOST_OUT	240
#define MOST_CHANNELS	16
#define BACKLOG		65536		/* of what nobody reads */

struct channel {
	const char *name;
	int near;			/* the master */
	int far;			/* kept open: no end of file between two users */
	size_t waiting;
	uint8_t backlog[BACKLOG];
};

static struct channel channels[MOST_CHANNELS];
static size_t count;
static int line;

/* The message is an error in the kernel's log: the rig takes it for trouble. */
static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	FILE *log = fopen("/dev/kmsg", "w");
	va_list arguments;

	if (!log)
		log = stderr;
	fputs("<3>l1-mux: ", log);
	va_start(arguments, format);
	vfprintf(log, format, arguments);
	va_end(arguments);
	fputc('\n', log);
	fclose(log);
	exit(1);
}

static uint16_t crc(const uint8_t *data, size_t length)
{
	uint16_t sum = 0;
	int bit;

	while (length--) {
		sum ^= *data++ << 8;
		for (bit = 0; bit < 8; bit++)
			sum = sum & 0x8000 ? sum << 1 ^ 0x1021 : sum << 1;
	}
	return sum;
}

static void send_frame(uint8_t channel, const uint8_t *data, uint8_t length)
{
	uint8_t frame[HEAD + MOST_OUT + CRC] = { channel, length };
	size_t size = HEAD + length + CRC, sent = 0;
	uint16_t sum;
	ssize_t now;

	memcpy(frame + HEAD, data, length);
	sum = crc(frame, HEAD + length);
	frame[HEAD + length] = sum >> 8;
	frame[HEAD + length + 1] = sum & 0xff;
	for (; sent < size; sent += now) {
		now = write(line, frame + sent, size - sent);
		if (now < 0 && errno == EINTR)
			now = 0;
		else if (now < 0)
			die("cannot write to the line: %m");
	}
}

/* Hand on what is waiting, as far as the terminal takes it. */
static void flush(struct channel *channel)
{
	ssize_t now = write(channel->near, channel->backlog, channel->waiting);

	if (now < 0 && errno != EAGAIN && errno != EINTR)
		die("%s: %m", channel->name);
	if (now <= 0)
		return;
	channel->waiting -= now;
	memmove(channel->backlog, channel->backlog + now, channel->waiting);
}

static void take_frame(uint8_t number, bool odd, const uint8_t *data, size_t length)
{
	static uint8_t taken;
	struct channel *channel = &channels[number];

	if (odd != !(taken & 1)) {	/* what was acknowledged in vain */
		send_frame(ACK, &taken, 1);
		return;
	}
	if (number >= count)
		die("a frame for channel %d, of %zu", number, count);
	if (channel->waiting + length > BACKLOG)
		die("%s: nobody reads it", channel->name);
	memcpy(channel->backlog + channel->waiting, data, length);
	channel->waiting += length;
	flush(channel);
	taken++;
	send_frame(ACK, &taken, 1);
}

static uint8_t frame[HEAD + MOST_IN + CRC];
static size_t have;		/* of it */
static bool garbled;		/* until the line is quiet */

/* Take in what the line has, which may end within a frame. */
static void read_line(void)
{
	uint8_t data[64];
	ssize_t now = read(line, data, sizeof(data)), i;
	size_t length;

	if (now == 0 || (now < 0 && errno == EIO))
		exit(0);		/* the other side has gone */
	if (now < 0 && errno != EAGAIN && errno != EINTR)
		die("cannot read from the line: %m");
	for (i = 0; i < now && !garbled; i++) {
		frame[have++] = data[i];
		if (have < HEAD)
			continue;
		length = frame[1] & ~TURN;
		if (length > MOST_IN) {
			garbled = true;
		} else if (have == HEAD + length + CRC) {
			if (crc(frame, have))
				garbled = true;
			else
				take_frame(frame[0], frame[1] & TURN, frame + HEAD, length);
			have = 0;
		}
	}
}

static void read_channel(uint8_t number)
{
	uint8_t data[MOST_OUT];
	ssize_t now = read(channels[number].near, data, sizeof(data));

	if (now < 0 && errno != EAGAIN && errno != EINTR)
		die("%s: %m", channels[number].name);
	if (now > 0)
		send_frame(number, data, now);
}

static void open_line(const char *path)
{
	struct termios raw;

	line = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (line < 0 || tcgetattr(line, &raw))
		die("%s: %m", path);
	cfmakeraw(&raw);
	raw.c_cflag |= CLOCAL | CREAD;
	raw.c_cflag &= ~(CRTSCTS | HUPCL);
	cfsetspeed(&raw, B115200);
	/* Writes wait for the line; reads happen only after poll(). */
	if (tcsetattr(line, TCSANOW, &raw) || fcntl(line, F_SETFL, 0))
		die("%s: %m", path);
}

static void open_channel(struct channel *channel, const char *name)
{
	char path[64];
	struct termios raw;

	if (openpty(&channel->near, &channel->far, path, NULL, NULL) ||
	    tcgetattr(channel->far, &raw))
		die("%s: no terminal: %m", name);
	cfmakeraw(&raw);
	if (tcsetattr(channel->far, TCSANOW, &raw) || fcntl(channel->near, F_SETFL, O_NONBLOCK))
		die("%s: %m", name);
	channel->name = name;
	if (symlink(path, name))
		die("%s: %m", name);
}

int main(int argc, char **argv)
{
	struct pollfd polled[1 + MOST_CHANNELS];
	const uint8_t hello = 0;
	size_t i;
	int ready;

	if (argc < 3 || argc > 2 + MOST_CHANNELS) {
		fprintf(stderr, "usage: l1-mux LINE PATH... (at most %d paths)\n", MOST_CHANNELS);
		return 2;
	}
	open_line(argv[1]);
	for (count = 0; count < (size_t)argc - 2; count++)
		open_channel(&channels[count], argv[2 + count]);
	send_frame(ACK, &hello, 1);	/* the rig may begin */
	/* Who has started this goes on when the channels are there. */
	if (daemon(0, 1))
		die("%m");

	for (;;) {
		polled[0] = (struct pollfd) { .fd = line, .events = POLLIN };
		for (i = 0; i < count; i++)
			polled[1 + i] = (struct pollfd) {
				.fd = channels[i].near,
				.events = POLLIN | (channels[i].waiting ? POLLOUT : 0),
			};
		ready = poll(polled, 1 + count, have || garbled ? QUIET : -1);
		if (ready < 0 && errno != EINTR)
			die("poll: %m");
		if (!ready) {
			have = 0;
			garbled = false;
		}
		if (polled[0].revents)
			read_line();
		for (i = 0; i < count; i++) {
			if (polled[1 + i].revents & POLLOUT)
				flush(&channels[i]);
			if (polled[1 + i].revents & POLLIN)
				read_channel(i);
		}
	}
}
