/** The control file `pins/PID` in the words of a scenario. */
import type { Name } from '../scenario.js'

/**
 * Contexts under the name that the process has for them, files under theirs: `c: f g; f`.
 * @param root Where the directories of the scenario's files are.
 * @param fds Descriptors of the process.
 */
export function formatPins(text: string, root: string, fds: ReadonlyMap<Name, number>): string {
  const names = new Map([...fds].map(([name, fd]) => [String(fd), name]))
  const own: Name[] = []
  const contexts = new Map<Name, Name[]>()
  let current: Name[] = own
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const fd = /^(\d+): /.exec(line)?.[1]
    if (fd !== undefined) {
      current = []
      contexts.set(names.get(fd) ?? `fd-${fd}`, current)
    } else if (line.startsWith('\t')) {
      current.push(nameOf(line.slice(1), root))
    } else {
      own.push(nameOf(line, root))
    }
  }
  const parts = [...contexts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, files]) => `${name}: ${files.sort().join(' ')}`)
  if (own.length > 0) parts.push(own.sort().join(' '))
  return parts.join('; ')
}

/** Each file has a directory of its own, which has its name whatever the file is called now. */
function nameOf(path: string, root: string): Name {
  return path.startsWith(root) ? (path.slice(root.length).split('/')[0] ?? path) : path
}
