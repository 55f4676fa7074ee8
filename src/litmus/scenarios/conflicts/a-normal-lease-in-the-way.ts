import { play } from '../../language/index.js'

export const scenario = play(`
scenario conflicts/a-normal-lease-in-the-way
claim A lease request that meets only normal leases gets EAGAIN, and disturbs nobody unless it asked to.
rules L6
file f
process holder alice
process asker bob

holder:  fd = open f rdonly
holder:  A = lease fd normal read
asker:   g = open f rdwr
asker:   B = lease g exclusive write -> EAGAIN
told nothing
lease A active
`)
