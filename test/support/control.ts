/** Commands to the control file `ctl`, as a program gives them: one write, answered with an errno. */
import type { Agent } from './agent.js'

/** @returns `ok`, or the errno's name. */
export async function command(agent: Agent, control: string, line: string): Promise<string> {
  const fd = await agent.open(`${control}/ctl`, 'wronly')
  const answer = await writeCommand(agent, fd, line)
  await agent.call('close', fd)
  return answer
}

/** The same through a descriptor that is open already. */
export async function writeCommand(agent: Agent, fd: number, line: string): Promise<string> {
  const answer = await agent.call('write', fd, -1, Buffer.from(`${line}\n`).toString('hex'))
  return answer === String(line.length + 1) ? 'ok' : answer
}
