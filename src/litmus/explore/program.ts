/**
 * A scenario as one program for each process: what it does, in its order, without what must come of it. What one
 * line needs and another makes (descriptors that are sent, leases, children) holds the order together.
 */
import type { Action, Name, Scenario } from '../scenario.js'

export interface Program {
  readonly actions: ReadonlyMap<Name, readonly Action[]>
  /** Which lines make a thing; a thing is named as `thingsMade` does. */
  readonly makers: ReadonlyMap<string, readonly { readonly process: Name; readonly index: number }[]>
}

export function programOf(scenario: Scenario): Program {
  const actions = new Map<Name, Action[]>(scenario.processes.map(({ name }) => [name, []]))
  const makers = new Map<string, { process: Name; index: number }[]>()
  for (const line of scenario.lines) {
    if (line.kind !== 'action') continue
    const own = actions.get(line.process) ?? []
    actions.set(line.process, own)
    for (const thing of thingsMade(line.process, line.action)) {
      const known = makers.get(thing) ?? []
      makers.set(thing, [...known, { process: line.process, index: own.length }])
    }
    own.push(line.action)
  }
  return { actions, makers }
}

/** Descriptors and mappings are a process's own, all other names are known to all. */
export function thingsMade(process: Name, action: Action): string[] {
  switch (action.do) {
    case 'open':
    case 'dup':
    case 'context':
      return [`fd ${process} ${action.as}`]
    case 'send':
      return [`fd ${action.to} ${action.as}`]
    case 'map':
      return [`mapping ${process} ${action.as}`]
    case 'lease':
      return [`lease ${action.as}`]
    case 'pin':
      return [`pin ${action.as}`]
    case 'fork':
      return [`process ${action.as}`]
    default:
      return []
  }
}

export function thingsUsed(process: Name, action: Action): string[] {
  switch (action.do) {
    case 'dup':
    case 'close':
    case 'map':
    case 'lease':
    case 'fallocate':
    case 'allocate':
    case 'write':
    case 'read':
    case 'query':
    case 'poll':
      return [`fd ${process} ${action.fd}`]
    case 'send':
      return [`fd ${process} ${action.fd}`, `process ${action.to}`]
    case 'unmap':
    case 'touch':
      return [`mapping ${process} ${action.mapping}`]
    case 'change':
    case 'own':
      return [`fd ${process} ${action.fd}`, `lease ${action.lease}`]
    case 'release':
      return [`fd ${process} ${action.fd}`, ...(action.lease === null ? [] : [`lease ${action.lease}`])]
    case 'pin':
      return [`fd ${process} ${action.through}`, `lease ${action.lease}`]
    case 'unpin':
      return [`fd ${process} ${action.through}`, `pin ${action.pin}`]
    case 'truncate':
      return 'fd' in action.target ? [`fd ${process} ${action.target.fd}`] : []
    case 'copy':
      return [`fd ${process} ${action.from}`, `fd ${process} ${action.to}`]
    case 'revoke':
      return [`lease ${action.lease}`]
    case 'kill':
    case 'pins':
      return [`process ${action.process}`]
    default:
      return []
  }
}
