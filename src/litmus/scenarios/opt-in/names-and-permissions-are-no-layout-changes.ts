import { play } from '../../language/index.js'

export const scenario = play(`
scenario opt-in/names-and-permissions-are-no-layout-changes
claim Under an exclusive lease a file is renamed, given away, closed to others and unlinked as before.
rules L1 L8
file f
process holder alice
process admin root

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read
admin:   rename f
admin:   chmod f 600
admin:   chown f bob
admin:   unlink f
told nothing
lease A active
`)
