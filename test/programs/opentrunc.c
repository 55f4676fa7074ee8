/* `opentrunc FILE rdonly|rdwr|creat` opens FILE with O_TRUNC and says what came of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 64;
	int flags = O_TRUNC;

	if (!strcmp(argv[2], "rdonly"))
		flags |= O_RDONLY;
	else if (!strcmp(argv[2], "creat"))
		flags |= O_WRONLY | O_CREAT;
	else
		flags |= O_RDWR;
	if (open(argv[1], flags, 0666) < 0) {
		fprintf(stderr, "opentrunc: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	return 0;
}
