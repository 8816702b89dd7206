/* files: works in the folder it is given, and leaves it as it was: makes a
 * folder, writes, appends, seeks, reads back, truncates, lists, renames,
 * removes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void check(int ok, const char *what)
{
    if (!ok) {
        printf("%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The order of a listing is the host's affair, so it is sorted here. */
static void list(const char *folder)
{
    char *names[32];
    size_t count = 0;
    struct dirent *entry;
    DIR *dir = opendir(folder);

    check(dir != NULL, "opendir");
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (count < sizeof names / sizeof *names)
            names[count++] = strdup(entry->d_name);
    }
    closedir(dir);
    qsort(names, count, sizeof *names, by_name);
    printf("%s holds %zu:", folder, count);
    for (size_t i = 0; i < count; i++) {
        printf(" %s", names[i]);
        free(names[i]);
    }
    printf("\n");
}

int main(void)
{
    char line[64], name[32];
    struct stat about;
    FILE *file;

    setvbuf(stdout, NULL, _IOLBF, 0);
    check(mkdir("work", 0777) == 0, "mkdir");

    for (int i = 1; i <= 12; i++) {
        snprintf(name, sizeof name, "work/part-%02d.txt", i);
        file = fopen(name, "w");
        check(file != NULL, name);
        for (int j = 1; j <= i; j++)
            fprintf(file, "part %d, line %d\n", i, j);
        check(fclose(file) == 0, "fclose");
    }
    list("work");

    file = fopen("work/part-03.txt", "a+");
    check(file != NULL, "append");
    fputs("appended\n", file);
    rewind(file);
    while (fgets(line, sizeof line, file))
        printf("  %s", line);
    fclose(file);

    file = fopen("work/part-05.txt", "r+");
    check(file != NULL, "update");
    check(fseek(file, 15, SEEK_SET) == 0, "fseek");
    fputs("PART", file);
    check(fseek(file, 0, SEEK_SET) == 0, "fseek");
    while (fgets(line, sizeof line, file))
        printf("  %s", line);
    check(fseek(file, -7, SEEK_END) == 0, "fseek");
    check(fgets(line, sizeof line, file) != NULL, "fgets");
    printf("the last 7 bytes: %s", line);
    printf("now at %ld\n", ftell(file));
    fclose(file);

    int fd = open("work/part-12.txt", O_RDWR);
    check(fd >= 0, "open");
    check(ftruncate(fd, 10) == 0, "ftruncate");
    check(pwrite(fd, "!", 1, 4) == 1, "pwrite");
    check(pread(fd, line, sizeof line, 0) == 10, "pread");
    check(lseek(fd, 0, SEEK_CUR) == 0, "lseek");
    check(fstat(fd, &about) == 0, "fstat");
    printf("truncated to %lld: %.10s\n", (long long)about.st_size, line);
    close(fd);

    check(rename("work/part-12.txt", "work/renamed") == 0, "rename");
    check(stat("work/part-12.txt", &about) < 0 && errno == ENOENT, "stat of the old name");
    check(stat("work/renamed", &about) == 0, "stat");
    printf("renamed, %lld bytes\n", (long long)about.st_size);
    check(open("work/part-01.txt", O_CREAT | O_EXCL | O_WRONLY, 0666) < 0, "exclusive open");
    printf("exclusive open: %s\n", errno == EEXIST ? "exists already" : strerror(errno));
    check(open("../outside", O_RDONLY) < 0, "open outside");
    printf("outside: refused\n");

    check(unlink("work/renamed") == 0, "unlink");
    for (int i = 1; i <= 11; i++) {
        snprintf(name, sizeof name, "work/part-%02d.txt", i);
        check(unlink(name) == 0, name);
    }
    list("work");
    check(rmdir("work") == 0, "rmdir");
    check(stat("work", &about) < 0, "stat of the removed folder");
    printf("all removed\n");
    return 0;
}
