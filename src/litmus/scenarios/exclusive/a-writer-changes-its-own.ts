import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/a-writer-changes-its-own
claim Under a write lease its owners, and whoever uses the leased descriptor, may change the layout; others may not.
rules X5 L3
file f
process writer alice
process friend bob
process breaker bob

writer:   fd = open f rdwr
writer:   A = lease fd exclusive write
writer:   truncate f 6000
writer:   send fd to friend as g
friend:   ftruncate g 5000
friend:   truncate f 4000 -> ETXTBSY
breaker:  truncate f 4000 -> ETXTBSY
told A refused by friend, A refused by breaker
writer:   B = dup fd
writer:   punch B 0..4096
lease A active
`)
