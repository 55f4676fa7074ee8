import { play } from '../../language/index.js'

export const scenario = play(`
scenario modes/readers-share-a-range
claim Any number of open files have read leases on the same bytes, exclusive or not.
rules L3
question Can there be two exclusive holders?
file f
process one alice
process two bob

one:  a = open f rdonly
one:  A = lease a exclusive read
two:  b = open f rdwr
two:  B = lease b exclusive read
two:  C = lease b normal read
lease A active exclusive read
lease B active exclusive read
`)
