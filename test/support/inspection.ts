/**
 * Comparing what test/programs/inspect.c saw of itself with and without `holdfast run`.
 *
 * Three things differ lawfully and are taken out here, nothing else:
 * - numbers that are new in every start: pids (replaced by what they are to the process) and the inodes of
 *   pipes and sockets (numbered in the order in which they appear, so that two descriptors of one pipe still
 *   show as such);
 * - the leased descriptors that COMMAND is given in addition: exactly one for each FILE, on FILE, not
 *   close-on-exec; anything else about descriptors is compared;
 * - the variable `_`, which a shell sets to the program it starts, and it did start holdfast. Only where a
 *   shell was the launcher.
 */
export interface Inspection {
  /** Every fact, made comparable. */
  readonly facts: string[]
  readonly pid: number
  readonly leased: string[]
}

export function parseInspection(
  text: string,
  options: { readonly files?: readonly string[]; readonly leader?: number; readonly byShell?: boolean },
): Inspection {
  const lines = text.split('\n').filter((line) => line !== '')
  const value = (key: string): number => {
    const line = lines.find((candidate) => candidate.startsWith(`${key} `))
    return Number(line?.slice(key.length + 1))
  }
  const pid = value('pid')
  // The first that fits names the number: a process may be its own group and session leader.
  const relations: [number, string][] = [
    [pid, 'itself'],
    [value('parent'), 'its parent'],
    [options.leader ?? -1, 'the leader'],
    [value('group'), 'its group'],
    [value('session'), 'its session'],
  ]
  const relation = (digits: string): string => {
    const number = Number(digits)
    if (number <= 0) return digits
    return relations.find(([known]) => known === number)?.[1] ?? 'another'
  }
  const anonymous = new Map<string, string>()
  const leased: string[] = []
  const facts: string[] = []
  for (const line of lines) {
    if (line.startsWith('fd ') && options.files?.some((file) => line.endsWith(` ${file}`))) {
      leased.push(line)
      continue
    }
    // 5f3d is "_=" in hexadecimal.
    if (options.byShell && /^environment \d+ 5f3d/.test(line)) continue
    facts.push(
      line
        .replace(/(pipe|socket):\[\d+\]/g, (name, kind: string) => {
          if (!anonymous.has(name)) anonymous.set(name, `${kind} ${anonymous.size + 1}`)
          return anonymous.get(name) ?? name
        })
        .replace(
          /^(pid|parent|group|session|foreground group) (\d+)$/,
          (_all, key: string, digits: string) => {
            return `${key} is ${relation(digits)}`
          },
        )
        .replace(/(foreground|session)=(\d+)/g, (_all, key: string, digits: string) => {
          return `${key}=${relation(digits)}`
        }),
    )
  }
  return { facts, pid, leased }
}
