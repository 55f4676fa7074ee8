import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/only-the-leased-bytes
claim An exclusive lease refuses what takes away one of its bytes, and nothing else.
rules X1
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read 0..4096
breaker:  truncate f 4096
breaker:  truncate f 4095 -> ETXTBSY
breaker:  g = open f rdwr
breaker:  punch g 4096..8192
breaker:  punch g 4095..8192 -> ETXTBSY
told A refused by breaker, A refused by breaker
`)
