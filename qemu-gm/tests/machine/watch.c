/*
 * What a test sees of QEMU: the events that guest.c sends, and what QEMU says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "qapi/qapi-events-guarded-modules.h"

/* In place of QEMU's own, see machine.mk. */
void fake_event_sealed(const char *name, const char *id, uint32_t seal, uint32_t pages,
                       int64_t cpu_index);
void fake_event_unsealed(const char *name, uint32_t seal, GmUnsealReason reason);
void fake_event_violation(GmViolation *v);

static GPtrArray *events;

static void G_GNUC_PRINTF(1, 2) add_event(const char *format, ...)
{
    va_list ap;

    if (!events) {
        events = g_ptr_array_new_with_free_func(g_free);
    }
    va_start(ap, format);
    g_ptr_array_add(events, g_strdup_vprintf(format, ap));
    va_end(ap);
}

void fake_event_sealed(const char *name, const char *id, uint32_t seal, uint32_t pages,
                       int64_t cpu_index)
{
    add_event("sealed %s id %.12s seal %u pages %u cpu %" PRId64, name, id, seal, pages,
              cpu_index);
}

void fake_event_unsealed(const char *name, uint32_t seal, GmUnsealReason reason)
{
    add_event("unsealed %s seal %u %s", name, seal, GmUnsealReason_str(reason));
}

void fake_event_violation(GmViolation *v)
{
    g_autofree char *gpa = v->has_gpa ? g_strdup_printf("0x%" PRIx64, v->gpa)
                                      : g_strdup("none");

    add_event("violation %" PRIu64 " %s module %s gate %s rip 0x%" PRIx64 " addr 0x%"
              PRIx64 " gpa %s cpu %" PRId64 " %s", v->count, GmViolationKind_str(v->kind),
              v->module ?: "-", v->gate ?: "-", v->rip, v->address, gpa, v->cpu_index,
              GmViolationPolicy_str(v->policy));
}

void machine_expect_event(const char *text)
{
    const char *first = events && events->len ? events->pdata[0] : NULL;

    g_assert_cmpstr(first, ==, text);
    if (first) {
        g_ptr_array_remove_index(events, 0);
    }
}

void machine_forget_events(void)
{
    g_clear_pointer(&events, g_ptr_array_unref);
}

/* --- what it says --------------------------------------------------------- */

static FILE *really;
static char *said;
static size_t said_size;

/* QEMU's last words are for whoever runs the test. */
static void show(int signal)
{
    fflush(stderr);
    if (write(STDERR_FILENO, said, said_size) < 0) {
        _exit(1);
    }
}

void machine_listen(void)
{
    g_assert(!really);
    really = stderr;
    stderr = open_memstream(&said, &said_size);
    signal(SIGABRT, show);
}

char *machine_heard(void)
{
    g_assert(really);
    signal(SIGABRT, SIG_DFL);
    fclose(stderr);
    stderr = g_steal_pointer(&really);
    return g_steal_pointer(&said);
}

void machine_expect_heard(const char *text)
{
    g_autofree char *heard = machine_heard();
    g_autofree char *wanted = *text ? g_strdup_printf("qemu-system-x86_64: %s\n", text)
                                    : g_strdup("");

    g_assert_cmpstr(heard, ==, wanted);
}

void machine_expect_error(Error *err, const char *text)
{
    g_assert_cmpstr(err ? error_get_pretty(err) : NULL, ==, text);
    error_free(err);
}
