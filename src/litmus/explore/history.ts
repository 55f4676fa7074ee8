/** A history: what was done, one after the other. It can be played, cut down and written as a scenario. */
import type { ModelMachine } from '../model/index.js'
import type { Action, Line, Name, Scenario } from '../scenario.js'
import { Auditor, Violation } from './auditor.js'
import { AuditedMachine } from './observe.js'

export type Move =
  | { readonly kind: 'act'; readonly process: Name; readonly action: Action }
  | { readonly kind: 'pass'; readonly ms: number }

export type MakeMachine = (scenario: Scenario) => ModelMachine

/** What both a machine and an audited one can do. */
export interface Player {
  start(process: Name, action: Action): unknown
  pass(ms: number): void
}

export function play(player: Player, move: Move): void {
  if (move.kind === 'pass') player.pass(move.ms)
  else player.start(move.process, move.action)
}

export function asScenario(scenario: Scenario, history: readonly Move[], claim: string): Scenario {
  return { ...scenario, name: `${scenario.name}-violation`, claim, lines: history.map(lineOf) }
}

function lineOf(move: Move): Line {
  if (move.kind === 'pass') return { kind: 'time', passMs: move.ms }
  const { process, action } = move
  return { kind: 'action', process, action, expect: null, waitsAs: null }
}

/** What is wrong, in one line. An error that is no violation is one of the rules or of the model. */
export function complaintOf(error: unknown): string {
  if (error instanceof Violation) return error.message
  if (error instanceof Error) return `${error.name}: ${error.message}`
  throw error
}

/**
 * Plays a history from the beginning, with an auditor; moves of processes that cannot move are left out.
 * @returns What is wrong and how many moves it took to show it, or null.
 */
export function auditHistory(
  scenario: Scenario,
  history: readonly Move[],
  makeMachine: MakeMachine,
): { readonly what: string; readonly moveCount: number } | null {
  const machine = makeMachine(scenario)
  const audited = new AuditedMachine(machine, new Auditor(scenario.mount))
  for (const [index, move] of history.entries()) {
    if (move.kind === 'act' && !machine.canStart(move.process)) continue
    try {
      play(audited, move)
    } catch (error) {
      return { what: complaintOf(error), moveCount: index + 1 }
    }
  }
  try {
    audited.end()
    return null
  } catch (error) {
    return { what: complaintOf(error), moveCount: history.length }
  }
}

/** Leaves out whatever is not needed for something to be wrong: first large parts, then single moves. */
export function shrink(
  scenario: Scenario,
  history: readonly Move[],
  makeMachine: MakeMachine,
): readonly Move[] {
  let shortest = history
  for (let length = history.length >> 1; length >= 1; length >>= 1) {
    for (let start = shortest.length - length; start >= 0; start -= length) {
      const tried = [...shortest.slice(0, start), ...shortest.slice(start + length)]
      const found = auditHistory(scenario, tried, makeMachine)
      if (found === null) continue
      shortest = tried.slice(0, found.moveCount)
      start = Math.min(start, shortest.length)
    }
  }
  return shortest
}
