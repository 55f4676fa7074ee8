import { play } from '../../language/index.js'

export const scenario = play(`
scenario rights/owner-root-and-writers-may
claim The owner of a file and root get an exclusive lease on any descriptor, others on one that is open for writing.
rules L8
file f
process owner alice
process admin root
process writer bob

owner:   a = open f rdonly
owner:   A = lease a exclusive read
admin:   b = open f rdonly
admin:   B = lease b exclusive read
writer:  c = open f rdonly
writer:  C = lease c exclusive read -> EPERM
writer:  d = open f wronly
writer:  D = lease d exclusive read
lease D active exclusive with-say
`)
