import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/collapsing-takes-all-that-follows
claim To collapse or insert a range moves all bytes behind it, and is refused for them; unsharing and zeroing are for theirs.
rules X1
model-only FUSE does not pass these operations on: on a mount the kernel answers EOPNOTSUPP by itself
file f 16384 bytes
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read 8192..12288
breaker:  g = open f rdwr
breaker:  collapse g 0..4096 -> ETXTBSY
breaker:  insert g 0..4096 -> ETXTBSY
breaker:  unshare g 8192..12288 -> ETXTBSY
breaker:  write-zeroes g 4096..8193 -> ETXTBSY
told A refused by breaker, A refused by breaker, A refused by breaker, A refused by breaker
breaker:  unshare g 0..8192
breaker:  write-zeroes g 0..8192
breaker:  collapse g 12288..16384
told nothing
holder:   read fd 0 16384 -> ok 12288 mixed
`)
