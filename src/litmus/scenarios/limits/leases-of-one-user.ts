import { play } from '../../language/index.js'

export const scenario = play(`
scenario limits/leases-of-one-user
claim A user at the limit of leases gets ENOLCK; other users go on; a lease that ends makes room.
rules L9
limits leases 1
file f
process one alice
process two alice
process other bob

one:    a = open f rdonly
one:    A = lease a normal read
two:    b = open f rdonly
two:    B = lease b normal read -> ENOLCK
other:  c = open f rdwr
other:  C = lease c normal read
one:    release a A
two:    B = lease b normal read
`)
