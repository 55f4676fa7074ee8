/**
 * Adds to package-lock.json the packages for other platforms that `npm install` has left out, because the
 * registry it asked does not carry them. `npm ci` refuses a lock file without them, though it would install
 * none of them here. Run it after every change of the dependencies; it prints what it added.
 *
 * Such an entry has no checksum: whoever installs on that platform gets the version that is named.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {object} LockEntry
 * @property {string} [version]
 * @property {boolean} [dev]
 * @property {boolean} [optional]
 * @property {Record<string, string>} [optionalDependencies]
 * @property {string[]} [os]
 * @property {string[]} [cpu]
 * @property {string[]} [libc]
 */

/** Words in the names of such packages, and what they say. The names are those of Node's process.platform. */
const OS = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
]
const CPU = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64']
const LIBC = { gnu: 'glibc', musl: 'musl', gnueabihf: 'glibc', musleabihf: 'musl' }

/**
 * @param {string} name
 * @param {string} version
 * @param {boolean} dev
 * @returns {LockEntry}
 */
function entryFor(name, version, dev) {
  const words = name.split(/[/-]/)
  const os = OS.filter((word) => words.includes(word))
  const cpu = CPU.filter((word) => words.includes(word))
  // "linux-arm-gnueabihf" names its libc; "linux-x64" alone says nothing about it.
  const libc = Object.entries(LIBC).flatMap(([word, kind]) => (words.includes(word) ? [kind] : []))
  if (os.length === 0 && cpu.length === 0)
    throw new Error(`${name}: the name does not say for which platform it is`)
  return {
    version,
    ...(cpu.length > 0 ? { cpu } : {}),
    ...(dev ? { dev } : {}),
    ...(os.includes('linux') && libc.length > 0 ? { libc } : {}),
    optional: true,
    ...(os.length > 0 ? { os } : {}),
  }
}

/**
 * Where Node would look for a package, from the innermost node_modules outwards.
 * @param {string} owner A path like `node_modules/a/node_modules/b`.
 * @param {string} name
 */
function placesFor(owner, name) {
  const places = [`node_modules/${name}`]
  for (let end = owner.length; end > 0; end = owner.lastIndexOf('/node_modules/', end - 1)) {
    places.splice(-1, 0, `${owner.slice(0, end)}/node_modules/${name}`)
  }
  return places
}

/**
 * The entries that are missing, by path.
 * @param {Record<string, LockEntry>} packages The `packages` of a lock file.
 */
export function missingEntries(packages) {
  /** @type {Record<string, LockEntry>} */
  const missing = {}
  for (const [owner, { dev, optionalDependencies }] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies ?? {})) {
      const places = placesFor(owner, name)
      // Another version further out is no use to this owner, if the version that it wants is an exact one.
      const isSame = (/** @type {string} */ place) =>
        packages[place] !== undefined && (packages[place].version === version || !/^\d/.test(version))
      if (places.some(isSame)) continue
      const top = places.at(-1) ?? ''
      const place = packages[top] === undefined && missing[top] === undefined ? top : (places[0] ?? top)
      missing[place] = entryFor(name, version, dev === true)
    }
  }
  return missing
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = new URL('../package-lock.json', import.meta.url)
  const lock = JSON.parse(readFileSync(file, 'utf8'))
  const missing = missingEntries(lock.packages)
  const places = Object.keys(missing).sort()
  const all = { ...lock.packages, ...missing }
  const inOrder = Object.keys(all).sort((a, b) => (a < b ? -1 : 1))
  lock.packages = Object.fromEntries(inOrder.map((place) => [place, all[place]]))
  if (places.length > 0) writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
  for (const place of places) console.log(`added ${place}`)
}
