import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/a-change-fails-and-the-holder-hears-of-it
claim A truncate of an exclusively leased file fails at once, and the owners are told who tried.
rules X1 X3 L2
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read
holder:   m = map fd
breaker:  truncate f 0 -> ETXTBSY
breaker:  g = open f rdwr
breaker:  ftruncate g 100 -> ETXTBSY
breaker:  punch g 0..4096 -> ETXTBSY
breaker:  zero g 0..4096 -> ETXTBSY
breaker:  h = open f rdonly trunc -> ETXTBSY
told A refused by breaker, A refused by breaker, A refused by breaker, A refused by breaker, A refused by breaker
holder:   touch m 0 -> ok data
holder:   poll fd -> ok nothing
lease A active
`)
