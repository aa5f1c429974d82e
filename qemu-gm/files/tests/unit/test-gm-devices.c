/*
 * Guarded modules: the pages of a sealed module that lead to devices.
 *
 * KVM is played here: what it would refuse fails the test, unless it is told to
 * refuse all.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "../../hw/misc/gm/devices.h"
#include "gm-test-image.h"

#define BAR     0xfeb00000ULL
#define ROOM    (GM_TEST_DEVICE_PAGES - 1)

/* What KVM has. */
static struct kvm_gm_map kvm_ranges[KVM_GM_MAX_RANGES];
static uint64_t kvm_hosts[KVM_GM_MAX_RANGES][GM_TEST_DEVICE_PAGES];
static int kvm_refuses;
static int kvm_refuses_pages;   /* to map them, that is */
static unsigned kvm_calls;

static int kvm_map(struct kvm_gm_map *map)
{
    struct kvm_gm_map *mine = &kvm_ranges[map->range];
    const uint64_t *hosts = (const uint64_t *)(uintptr_t)map->hosts;
    unsigned i;

    kvm_calls++;
    if (kvm_refuses || (kvm_refuses_pages && map->nr_pages)) {
        return kvm_refuses ?: kvm_refuses_pages;
    }
    g_assert_cmpuint(map->size, ==, sizeof(*map));
    g_assert_cmpuint(map->id, ==, 7);
    g_assert_cmpuint(map->generation, ==, 3);
    g_assert_cmpuint(map->range, <, KVM_GM_MAX_RANGES);
    g_assert_cmpuint(map->reserved, ==, 0);
    if (!map->nr_pages) {
        g_assert(!map->page && !map->gpa && !map->hosts && mine->nr_pages);
        memset(mine, 0, sizeof(*mine));
        return 0;
    }
    g_assert_cmpuint(map->gpa % GM_PAGE_SIZE, ==, 0);
    g_assert_cmpuint(map->page, >=, 1);
    g_assert_cmpuint(map->page + map->nr_pages, <=, GM_TEST_DEVICE_PAGES);
    for (i = 0; i < KVM_GM_MAX_RANGES; i++) {
        const struct kvm_gm_map *other = &kvm_ranges[i];

        g_assert(other == mine || !other->nr_pages ||
                 map->page >= other->page + other->nr_pages ||
                 other->page >= map->page + map->nr_pages);
    }
    *mine = *map;
    for (i = 0; i < map->nr_pages; i++) {
        kvm_hosts[map->range][i] = hosts ? hosts[i] : 0;
    }
    return 0;
}

/* A module that is sealed, as seal number 7. */
typedef struct Sealed {
    GmTestImage t;
    GmImage *image;
    GmSealPlan *plan;
    GmDevices *devices;
} Sealed;

static void sealed_init(Sealed *s, bool devices)
{
    g_autoptr(GPtrArray) others = g_ptr_array_new();
    uint64_t values[GM_TEST_NR_ANCHORS];
    int ret;

    memset(s, 0, sizeof(*s));
    memset(kvm_ranges, 0, sizeof(kvm_ranges));
    memset(kvm_hosts, 0, sizeof(kvm_hosts));
    kvm_refuses = kvm_refuses_pages = kvm_calls = 0;
    gm_test_image_init(&s->t);
    gm_test_image_values(values);
    if (!devices) {
        s->t.anchors[GM_TEST_A_DEVICES].kind = GM_ANCHOR_SHARED;
        s->t.m->regions.count--;
    }
    s->image = gm_test_image_parse(&s->t, &error_abort);
    s->plan = gm_seal_plan_new(s->image, values, gm_test_translate, NULL,
                               others, &ret, &error_abort);
    s->plan->seal.id = 7;
    s->plan->seal.generation = 3;
    s->devices = gm_devices_new(s->plan, kvm_map);
}

static void sealed_cleanup(Sealed *s)
{
    gm_devices_free(s->devices);
    gm_seal_plan_free(s->plan);
    gm_image_free(s->image);
    gm_test_image_cleanup(&s->t);
}

static void expect_range(const Sealed *s, int i, GmRangeState state,
                         uint32_t page, uint32_t nr_pages, uint32_t nr_direct)
{
    const GmRange *r = gm_devices_range(s->devices, i);

    g_assert_cmpint(r->state, ==, state);
    g_assert_cmpuint(r->page, ==, page);
    g_assert_cmpuint(r->nr_pages, ==, nr_pages);
    g_assert_cmpuint(r->nr_direct, ==, nr_direct);
    g_assert_cmpuint(kvm_ranges[i].nr_pages, ==,
                     state == GM_RANGE_ENDED ? 0 : nr_pages);
}

static void test_none(void)
{
    Sealed s;

    sealed_init(&s, false);
    g_assert(!s.devices);
    sealed_cleanup(&s);
}

static void test_map(void)
{
    const uint64_t hosts[4] = { 0x10000, 0, 0x12000, 0 };
    Sealed s;
    int a, b;

    sealed_init(&s, true);
    a = gm_devices_take(s.devices, "a", 4);
    b = gm_devices_take(s.devices, "b", 1);
    g_assert_cmpint(a, ==, 0);
    g_assert_cmpint(b, ==, 1);
    g_assert_cmpuint(kvm_calls, ==, 0);
    expect_range(&s, a, GM_RANGE_ENDED, 1, 4, 0);
    expect_range(&s, b, GM_RANGE_ENDED, 5, 1, 0);

    g_assert(gm_devices_map(s.devices, a, BAR, hosts, &error_abort));
    expect_range(&s, a, GM_RANGE_ACTIVE, 1, 4, 2);
    g_assert_cmpuint(kvm_ranges[a].page, ==, 1);
    g_assert_cmphex(kvm_ranges[a].gpa, ==, BAR);
    g_assert_cmphex(kvm_hosts[a][2], ==, 0x12000);

    /* It moves. */
    g_assert(gm_devices_map(s.devices, a, BAR + 0x10000, hosts, &error_abort));
    g_assert_cmphex(kvm_ranges[a].gpa, ==, BAR + 0x10000);

    g_assert(gm_devices_idle(s.devices, a, &error_abort));
    expect_range(&s, a, GM_RANGE_IDLE, 1, 4, 0);
    g_assert_cmphex(kvm_ranges[a].gpa, ==, BAR + 0x10000);
    g_assert_cmphex(kvm_hosts[a][0], ==, 0);
    g_assert_cmpuint(kvm_calls, ==, 3);
    g_assert(gm_devices_idle(s.devices, a, &error_abort));
    g_assert(gm_devices_idle(s.devices, b, &error_abort));
    g_assert_cmpuint(kvm_calls, ==, 3);
    sealed_cleanup(&s);
}

/* First fit, and what does not fit is told so. */
static void test_room(void)
{
    Sealed s;
    int i;

    sealed_init(&s, true);
    g_assert_cmpint(gm_devices_take(s.devices, "none", 0), ==, -1);
    g_assert_cmpint(gm_devices_take(s.devices, "all", ROOM + 1), ==, -1);
    g_assert_cmpint(gm_devices_take(s.devices, "all", UINT32_MAX), ==, -1);
    g_assert_cmpint(gm_devices_take(s.devices, "most", ROOM - 2), ==, 0);
    g_assert_cmpint(gm_devices_take(s.devices, "more", 3), ==, -1);
    g_assert_cmpint(gm_devices_take(s.devices, "two", 2), ==, 1);
    expect_range(&s, 1, GM_RANGE_ENDED, ROOM - 1, 2, 0);
    g_assert_cmpint(gm_devices_take(s.devices, "one", 1), ==, -1);
    sealed_cleanup(&s);

    /* More pages than ranges. */
    sealed_init(&s, true);
    G_STATIC_ASSERT(ROOM > KVM_GM_MAX_RANGES);
    for (i = 0; i < KVM_GM_MAX_RANGES; i++) {
        g_autofree char *name = g_strdup_printf("%d", i);

        g_assert_cmpint(gm_devices_take(s.devices, name, 1), ==, i);
        expect_range(&s, i, GM_RANGE_ENDED, i + 1, 1, 0);
    }
    g_assert_cmpint(gm_devices_take(s.devices, "one", 1), ==, -1);
    sealed_cleanup(&s);
}

/* Pages that something has had are for nothing else. */
static void test_again(void)
{
    const uint64_t hosts[2] = { 0x10000, 0x11000 };
    Sealed s;
    int a;

    sealed_init(&s, true);
    a = gm_devices_take(s.devices, "a", 2);
    g_assert(gm_devices_map(s.devices, a, BAR, hosts, &error_abort));
    g_assert(gm_devices_idle(s.devices, a, &error_abort));
    gm_devices_leave(s.devices, a);

    g_assert_cmpint(gm_devices_take(s.devices, "b", 2), ==, 1);
    expect_range(&s, 1, GM_RANGE_ENDED, 3, 2, 0);
    g_assert_cmpint(gm_devices_take(s.devices, "a", 2), ==, a);
    expect_range(&s, a, GM_RANGE_IDLE, 1, 2, 0);
    /* Of two, one has it. */
    g_assert_cmpint(gm_devices_take(s.devices, "a", 2), ==, 2);
    gm_devices_leave(s.devices, a);
    /* Of another size. */
    g_assert_cmpint(gm_devices_take(s.devices, "a", 1), ==, 3);
    expect_range(&s, 3, GM_RANGE_ENDED, 7, 1, 0);
    sealed_cleanup(&s);
}

/* Of several at one address, one is active, and the idle ones end. */
static void test_conflict(void)
{
    const uint64_t hosts[2] = { 0x10000, 0 };
    Sealed s;
    int a, b;

    sealed_init(&s, true);
    a = gm_devices_take(s.devices, "a", 2);
    b = gm_devices_take(s.devices, "b", 2);
    g_assert(!gm_devices_conflict(s.devices, b, BAR));
    g_assert(gm_devices_map(s.devices, a, BAR, hosts, &error_abort));
    g_assert(!gm_devices_conflict(s.devices, a, BAR));
    g_assert(gm_devices_conflict(s.devices, b, BAR));
    g_assert(gm_devices_conflict(s.devices, b, BAR + GM_PAGE_SIZE));
    g_assert(gm_devices_conflict(s.devices, b, BAR - GM_PAGE_SIZE));
    g_assert(!gm_devices_conflict(s.devices, b, BAR + 2 * GM_PAGE_SIZE));
    g_assert(!gm_devices_conflict(s.devices, b, BAR - 2 * GM_PAGE_SIZE));

    g_assert(gm_devices_idle(s.devices, a, &error_abort));
    g_assert(!gm_devices_conflict(s.devices, b, BAR));
    g_assert(gm_devices_map(s.devices, b, BAR + 2 * GM_PAGE_SIZE, hosts,
                            &error_abort));
    expect_range(&s, a, GM_RANGE_IDLE, 1, 2, 0);
    g_assert(gm_devices_map(s.devices, b, BAR + GM_PAGE_SIZE, hosts,
                            &error_abort));
    expect_range(&s, a, GM_RANGE_ENDED, 1, 2, 0);
    expect_range(&s, b, GM_RANGE_ACTIVE, 3, 2, 1);
    /* It comes again, elsewhere. */
    g_assert(gm_devices_map(s.devices, a, BAR - GM_PAGE_SIZE, hosts,
                            &error_abort));
    expect_range(&s, a, GM_RANGE_ACTIVE, 1, 2, 1);
    sealed_cleanup(&s);
}

static void test_refused(void)
{
    const uint64_t hosts[2] = { 0x10000, 0 };
    Error *err = NULL;
    Sealed s;
    int a, b;

    sealed_init(&s, true);
    a = gm_devices_take(s.devices, "a", 2);
    b = gm_devices_take(s.devices, "b", 2);
    kvm_refuses = -ENOMEM;
    g_assert(!gm_devices_map(s.devices, a, BAR, hosts, &err));
    gm_test_expect(g_steal_pointer(&err), "KVM cannot map a: Cannot allocate");
    expect_range(&s, a, GM_RANGE_ENDED, 1, 2, 0);
    kvm_refuses = -ESTALE;
    g_assert(!gm_devices_map(s.devices, a, BAR, hosts, &err));
    gm_test_expect(g_steal_pointer(&err), "not sealed any more");

    kvm_refuses = 0;
    g_assert(gm_devices_map(s.devices, a, BAR, hosts, &error_abort));
    kvm_refuses = -ENOMEM;
    g_assert(!gm_devices_idle(s.devices, a, &err));
    gm_test_expect(g_steal_pointer(&err), "KVM cannot map a: Cannot allocate");
    expect_range(&s, a, GM_RANGE_ACTIVE, 1, 2, 1);

    /* What cannot be ended is in the way. */
    kvm_refuses = 0;
    g_assert(gm_devices_idle(s.devices, a, &error_abort));
    kvm_refuses = -ENOMEM;
    kvm_calls = 0;
    g_assert(!gm_devices_map(s.devices, b, BAR, hosts, &err));
    gm_test_expect(g_steal_pointer(&err), "KVM cannot map a");
    g_assert_cmpuint(kvm_calls, ==, 1);
    expect_range(&s, b, GM_RANGE_ENDED, 3, 2, 0);

    /* With the seal, all of it has ended. */
    kvm_refuses = 0;
    g_assert(gm_devices_map(s.devices, a, BAR, hosts, &error_abort));
    kvm_refuses = -ENOENT;
    g_assert(gm_devices_idle(s.devices, a, &error_abort));
    g_assert_cmpint(gm_devices_range(s.devices, a)->state, ==, GM_RANGE_IDLE);
    sealed_cleanup(&s);
}

/* To end a range is all that KVM can do still. */
static void test_end(void)
{
    const uint64_t hosts[2] = { 0x10000, 0 };
    Sealed s;
    int a;

    sealed_init(&s, true);
    a = gm_devices_take(s.devices, "a", 2);
    g_assert(gm_devices_map(s.devices, a, BAR, hosts, &error_abort));
    kvm_refuses_pages = -ENOMEM;
    g_assert(gm_devices_idle(s.devices, a, &error_abort));
    expect_range(&s, a, GM_RANGE_ENDED, 1, 2, 0);
    sealed_cleanup(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gm/devices/none", test_none);
    g_test_add_func("/gm/devices/map", test_map);
    g_test_add_func("/gm/devices/room", test_room);
    g_test_add_func("/gm/devices/again", test_again);
    g_test_add_func("/gm/devices/conflict", test_conflict);
    g_test_add_func("/gm/devices/refused", test_refused);
    g_test_add_func("/gm/devices/end", test_end);
    return g_test_run();
}
