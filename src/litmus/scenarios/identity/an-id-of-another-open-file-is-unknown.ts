import { play } from '../../language/index.js'

export const scenario = play(`
scenario identity/an-id-of-another-open-file-is-unknown
claim The id of a lease is worth nothing through another open file, be it the same process's.
rules L4
file f
process holder alice
process other bob

holder:  fd = open f rdwr
holder:  A = lease fd normal read
holder:  second = open f rdwr
holder:  release second A -> ENOENT
holder:  change second A normal write -> ENOENT
holder:  own second A add self -> ENOENT
other:   g = open f rdwr
other:   release g A -> ENOENT
lease A active normal read owners holder
`)
