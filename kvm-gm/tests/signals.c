// SPDX-License-Identifier: GPL-2.0
/*
 * I7: signals come at any moment of any call. It ends with EINTR, or not; made again
 * until no signal has interrupted it, it has worked, and the module too.
 */
#include "hammer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define MAX_PAUSE	300		/* microseconds from one signal to the next */

static atomic_bool over;

static void nothing(int signal)
{
	(void)signal;
}

static void *send_them(void *argument)
{
	struct random random = { .state = (uintptr_t)argument | 1 };
	pthread_t target = *(pthread_t *)argument;

	while (!over) {
		pthread_kill(target, SIGUSR1);
		usleep(below(&random, MAX_PAUSE));
	}
	return NULL;
}

/* Nowhere but in the calls that this is about. */
static void let_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(how, &set, NULL);
}

static void make_steps(void)
{
	unsigned int i;

	begin_steps();
	for (i = 0; step_name(i); i++) {
		int r;

		prepare_step(i);
		let_signals(SIG_UNBLOCK);
		do {
			r = make_step(i);
			if (r == -EINTR)
				tally("calls interrupted", 1);
		} while (r == -EINTR);
		let_signals(SIG_BLOCK);
		expect(!r, "%s: %s", step_name(i), strerror(-r));
	}
	end_steps();
}

void send_signals(struct hammer *hammer)
{
	struct sigaction action = { .sa_handler = nothing };
	pthread_t self = pthread_self(), sender;

	sigaction(SIGUSR1, &action, NULL);
	let_signals(SIG_BLOCK);
	expect(!pthread_create(&sender, NULL, send_them, &self), "no thread");
	while (go_on(hammer)) {
		make_steps();
		hammer->done++;
	}
	over = true;
	pthread_join(sender, NULL);
}
