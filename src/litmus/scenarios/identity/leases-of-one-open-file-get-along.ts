import { play } from '../../language/index.js'

export const scenario = play(`
scenario identity/leases-of-one-open-file-get-along
claim Leases of one open file never conflict, also through a descriptor that was passed on.
rules L4
file f
process holder alice
process friend bob

holder:  fd = open f rdwr
holder:  A = lease fd exclusive read
holder:  B = lease fd exclusive write 0..4096
holder:  send fd to friend as g
friend:  C = lease g normal write
lease A active exclusive read
lease B active exclusive write
lease C active normal write owners friend
`)
