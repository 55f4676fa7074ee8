import { play } from '../../language/index.js'

export const scenario = play(`
scenario conflicts/an-exclusive-lease-in-the-way
claim A lease request that meets an exclusive lease fails with ETXTBSY, and waiting for it is no use.
rules L6
file f
process holder alice
process asker bob

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read
asker:   g = open f rdwr
asker:   B = lease g normal write -> ETXTBSY
asker:   B = lease g normal write wait -> ETXTBSY
asker:   B = lease g normal write start -> ETXTBSY
told nothing
`)
