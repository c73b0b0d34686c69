/* Preloaded into a program: no connection leaves the machine, and each attempt is written to the file NETWORK_LOG.
 *
 * Sockets of the machine itself (AF_UNIX: desktop, processes) work as always. Names are not looked up, connections are refused,
 * datagrams are not sent. One line for each: what was called, and the address or name.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *call, const char *what, int port) {
    const char *path = getenv("NETWORK_LOG");
    char line[512];
    int length = snprintf(line, sizeof line, "%s %s %d\n", call, what ? what : "?", port);
    if (path == NULL || length <= 0) return;
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0) return;
    if (write(file, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1) < 0) { /* nothing to be done */ }
    close(file);
}

/* 1 if the address is of another machine or of a port of this one; it is noted then. */
static int leaves(const char *call, const struct sockaddr *address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address == NULL) return 0;
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *found = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &found->sin_addr, text, sizeof text);
        note(call, text, ntohs(found->sin_port));
        return 1;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *found = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &found->sin6_addr, text, sizeof text);
        note(call, text, ntohs(found->sin6_port));
        return 1;
    }
    return 0;
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (leaves("connect", address)) { errno = ECONNREFUSED; return -1; }
    if (!real) real = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    return real(fd, address, length);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length) {
    static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    if (leaves("sendto", address)) { errno = ECONNREFUSED; return -1; }
    if (!real) real = (ssize_t (*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "sendto");
    return real(fd, data, size, flags, address, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    static ssize_t (*real)(int, const struct msghdr *, int);
    if (message && leaves("sendmsg", (const struct sockaddr *)message->msg_name)) { errno = ECONNREFUSED; return -1; }
    if (!real) real = (ssize_t (*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg");
    return real(fd, message, flags);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    (void)service; (void)hints; (void)found;
    note("getaddrinfo", node, 0);
    return EAI_FAIL;
}

struct hostent *gethostbyname(const char *name) {
    note("gethostbyname", name, 0);
    return NULL;
}
