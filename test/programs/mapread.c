/* `mapread FILE BYTE` maps FILE shared and writable, stores BYTE at 100 and reads it back after msync. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 64;
	int fd = open(argv[1], O_RDWR);
	unsigned char seen = 0;
	unsigned char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || map == MAP_FAILED) {
		perror(argv[1]);
		return 1;
	}
	map[100] = (unsigned char)atoi(argv[2]);
	if (msync(map, 4096, MS_SYNC) || pread(fd, &seen, 1, 100) != 1 || seen != map[100]) {
		fprintf(stderr, "mapread: stored %d, read %d\n", map[100], seen);
		return 1;
	}
	return 0;
}
