import { play } from '../../language/index.js'

export const scenario = play(`
scenario reach/a-lease-needs-the-mount
claim A descriptor from past the mount takes no lease and no pin.
rules L10
file f
process outsider alice

outsider:  fd = open f rdwr past
outsider:  A = lease fd normal read -> ENOTTY
outsider:  query fd truncate -> ENOTTY
`)
