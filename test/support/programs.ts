/** Which Holdfast is tested, and with what. */
import path from 'node:path'
import { program, REPOSITORY } from './compile.js'

export { program, REPOSITORY }
/** HOLDFAST_BINARY names another one to test: an installed package, for example. */
export const HOLDFAST = process.env.HOLDFAST_BINARY ?? path.join(REPOSITORY, 'bin', 'holdfast')
