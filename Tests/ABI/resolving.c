/* SPDX-License-Identifier: Apache-2.0
 *
 * Host names whose zone is dead: look-ups that do not come back. */
#include "harness.h"
#include "names.h"
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 64 };
#define STUCK "reconnect=false", "open_timeout=60s", "host_connects=1000", "host_connect_rate=100000/1s"

static pulsews_client *started(const char *name, int port, const char *const *options) {
    char url[128];
    snprintf(url, sizeof url, "ws://%s:%d/path", name, port);
    pulsews_client *client = make_client_at(url, options);
    IS(pulsews_start(client), PULSEWS_OK);
    return client;
}

static pulsews_client *stuck_client(int number) {
    char name[64];
    snprintf(name, sizeof name, "n%d.stuck.test", number);
    return started(name, 1, OPTIONS(STUCK));
}

TEST(dead_names_cost_no_other_name) {
    enum { DEAD = 8 };
    int port = start_server("echo");
    pulsews_client *dead[DEAD];
    hold_names(".stuck.test");
    name_addresses("good.test", (const char *[]){"127.0.0.1", NULL});
    for (int i = 0; i < DEAD; i++) dead[i] = stuck_client(i);
    await_lookups(NULL, 4);
    pulsews_client *good = started("good.test", port, OPTIONS("open_timeout=10s", "reconnect=false"));
    IS(pulsews_wait_ready(good, SHORT, NULL, 0), PULSEWS_OK);
    release_names(-1);
    for (int i = 0; i < DEAD; i++) pulsews_client_free(dead[i]);
    pulsews_client_free(good);
}

TEST(all_who_ask_for_a_name_share_its_look_up) {
    enum { CLIENTS = 10 };
    int port = start_server("echo"), other = start_server("echo");
    pulsews_client *clients[CLIENTS];
    hold_names(".stuck.test");
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = started("one.stuck.test", i & 1 ? port : other,
                             OPTIONS("open_timeout=10s", "reconnect=false", "host_connects=100"));
    await_lookups("one.stuck.test", 1);
    pulsews_client_free(clients[0]); /* nobody waits for it any more */
    release_names(-1);
    for (int i = 1; i < CLIENTS; i++) IS(pulsews_wait_ready(clients[i], SHORT, NULL, 0), PULSEWS_OK);
    IS(await_lookups("one.stuck.test", 1), 1);
    for (int i = 1; i < CLIENTS; i++) pulsews_client_free(clients[i]);
}

TEST(when_all_look_ups_are_stuck_the_cause_says_so) {
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_client *dead[MOST];
    hold_names(".stuck.test");
    for (int i = 0; i < MOST; i++) dead[i] = stuck_client(i);
    await_lookups(NULL, MOST);
    pulsews_client *late = started("late.stuck.test", 1, OPTIONS("open_timeout=200ms", "reconnect=false"));
    IS(pulsews_open(late, SHORT, why, sizeof why), PULSEWS_EOPENTIMEOUT);
    fprintf(stderr, "%s\n", why);
    CHECK(strstr(why, "64 name look-ups are stuck") && strstr(why, "open_timeout"));
    IS(await_lookups(NULL, MOST), MOST);
    /* One of those that began says what it always said. */
    pulsews_client_free(dead[0]);
    dead[0] = started("n0.stuck.test", 1, OPTIONS("open_timeout=100ms", "reconnect=false"));
    IS(pulsews_open(dead[0], SHORT, why, sizeof why), PULSEWS_EOPENTIMEOUT);
    CHECK(strstr(why, "the host name was not resolved") && !strstr(why, "stuck:") && !strstr(why, "64"));
    pulsews_client_free(late);
    release_names(-1);
    for (int i = 0; i < MOST; i++) pulsews_client_free(dead[i]);
}

/* A name whose last look-up came to nothing waits behind one that was never tried, though it came first. */
TEST(names_that_made_trouble_go_last) {
    pulsews_client *dead[MOST];
    hold_names(".stuck.test");
    pulsews_client *bad = started("bad.stuck.test", 1, OPTIONS(STUCK));
    await_lookups(NULL, 1);
    release_names(1);
    IS(pulsews_open(bad, SHORT, NULL, 0), PULSEWS_ERESOLVE);
    pulsews_client_free(bad);
    for (int i = 0; i < MOST; i++) dead[i] = stuck_client(i);
    await_lookups(NULL, 1 + MOST);
    /* All places are taken: both wait. */
    bad = started("bad.stuck.test", 1, OPTIONS(STUCK));
    pulsews_client *fresh = started("new.stuck.test", 1, OPTIONS(STUCK));
    release_names(1);
    await_lookups(NULL, 2 + MOST);
    CHECK(strcmp(last_held(), "new.stuck.test") == 0);
    release_names(1);
    await_lookups("bad.stuck.test", 2);
    release_names(-1);
    pulsews_client_free(bad), pulsews_client_free(fresh);
    for (int i = 0; i < MOST; i++) pulsews_client_free(dead[i]);
}

/* A child of a process whose look-ups are all stuck resolves names of its own. */
TEST(a_fork_leaves_stuck_look_ups_behind) {
    int port = start_server("echo");
    pulsews_client *dead[MOST];
    hold_names(".stuck.test");
    name_addresses("good.test", (const char *[]){"127.0.0.1", NULL});
    for (int i = 0; i < MOST; i++) dead[i] = stuck_client(i);
    await_lookups(NULL, MOST);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        pulsews_client *good = started("good.test", port, OPTIONS("open_timeout=10s", "reconnect=false"));
        IS(pulsews_wait_ready(good, SHORT, NULL, 0), PULSEWS_OK);
        pulsews_client_free(good);
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    release_names(-1);
    for (int i = 0; i < MOST; i++) pulsews_client_free(dead[i]);
}
