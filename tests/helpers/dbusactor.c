/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A D-Bus service and its client on the session bus, with libdbus itself (loaded, so that the build
 * does not need it).
 *
 *     dbusactor serve NAME      says "ready UNIQUE-NAME", answers each call with its own argument
 *     dbusactor call NAME N     N calls of org.example.Store.Put(string, uint32) one after the
 * other; says how many were answered
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dbus_error {
    const char *name, *message;
    unsigned int bits;
    void *padding;
};

static void *library;

static void *need(const char *name)
{
    void *p = dlsym(library, name);

    if (!p) {
        fprintf(stderr, "libdbus has no %s\n", name);
        exit(77);
    }
    return p;
}

#define CALL(type, name, ...) ((type)need(name))(__VA_ARGS__)

typedef void *(*ptr_int_ptr)(int, void *);
typedef int (*int_ptr_str_uint_ptr)(void *, const char *, unsigned int, void *);
typedef const char *(*str_ptr)(void *);
typedef unsigned int (*uint_ptr_int)(void *, int);
typedef void *(*ptr_ptr)(void *);
typedef int (*int_ptr)(void *);
typedef unsigned int (*send_fn)(void *, void *, unsigned int *);
typedef void (*void_ptr)(void *);
typedef void *(*new_call)(const char *, const char *, const char *, const char *);
typedef unsigned int (*append_fn)(void *, int, ...);
typedef void *(*block_fn)(void *, void *, int, void *);

static void *connect_bus(void)
{
    struct dbus_error e;
    void *bus;

    CALL(void_ptr, "dbus_error_init", &e);
    bus = CALL(ptr_int_ptr, "dbus_bus_get_private", 0, &e);
    if (!bus) {
        fprintf(stderr, "%s\n", e.message);
        exit(1);
    }
    return bus;
}

static int serve(const char *name)
{
    void *bus = connect_bus(), *m;

    if (CALL(int_ptr_str_uint_ptr, "dbus_bus_request_name", bus, name, 4, NULL) != 1)
        return 1;
    printf("ready %s\n", CALL(str_ptr, "dbus_bus_get_unique_name", bus));
    fflush(stdout);
    while (CALL(uint_ptr_int, "dbus_connection_read_write", bus, -1)) {
        while ((m = CALL(ptr_ptr, "dbus_connection_pop_message", bus))) {
            void *reply = CALL(int_ptr, "dbus_message_get_type", m) == 1
                              ? CALL(ptr_ptr, "dbus_message_new_method_return", m)
                              : NULL;

            if (reply) {
                CALL(send_fn, "dbus_connection_send", bus, reply, NULL);
                CALL(void_ptr, "dbus_message_unref", reply);
            }
            CALL(void_ptr, "dbus_message_unref", m);
        }
    }
    return 0;
}

static int call(const char *name, unsigned int count)
{
    void *bus = connect_bus();
    unsigned int answered = 0;

    for (unsigned int i = 0; i < count; i++) {
        const char *key = "key";
        void *m = CALL(new_call, "dbus_message_new_method_call", name, "/store",
                       "org.example.Store", "Put");
        void *reply;

        CALL(append_fn, "dbus_message_append_args", m, 's', &key, 'u', &i, 0);
        reply = CALL(block_fn, "dbus_connection_send_with_reply_and_block", bus, m, -1, NULL);
        answered += reply != NULL;
        if (reply)
            CALL(void_ptr, "dbus_message_unref", reply);
        CALL(void_ptr, "dbus_message_unref", m);
    }
    printf("%u answered\n", answered);
    return answered != count;
}

int main(int argc, char **argv)
{
    library = dlopen("libdbus-1.so.3", RTLD_NOW);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 77;
    }
    if (argc == 3 && !strcmp(argv[1], "serve"))
        return serve(argv[2]);
    if (argc == 4 && !strcmp(argv[1], "call"))
        return call(argv[2], (unsigned int)atoi(argv[3]));
    return 2;
}
