import { play } from '../../language/index.js'

export const scenario = play(`
scenario reach/what-goes-past-the-mount-is-not-stopped
claim Who opens the backing file past the mount is not stopped by a lease, and the lease stays as it is.
rules L10
file f
process holder alice
process insider bob
process outsider bob

holder:    fd = open f rdonly
holder:    A = lease fd exclusive read
insider:   truncate f 0 -> ETXTBSY
told A refused by insider
outsider:  g = open f rdwr past
outsider:  ftruncate g 0
told nothing
lease A active
`)
