import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { GatewayEmulator } from '../../../lib/testing/index.js'
import type { CodeBlock } from './markdown.js'
import { commands, installedAt } from './package-copy.js'

/** A terminal session as a page shows it, and as the same commands print it. Values that differ each time are replaced. */
export interface Transcript {
  readonly shown: string
  readonly printed: string
}

/** Runs the commands of the `$ ` lines. The blocks of a page share a folder and a gateway. `installed` has the commands. */
export async function runTranscripts(
  blocks: readonly CodeBlock[],
  installed: string,
): Promise<Map<CodeBlock, Transcript>> {
  const transcripts = new Map<CodeBlock, Transcript>()
  for (const page of new Set(blocks.map(({ file }) => file))) {
    await using session = await startSession(installed)
    for (const block of blocks.filter(({ file }) => file === page)) {
      const printed: string[] = []
      for (const { command, lines } of commandsOf(block)) {
        printed.push(`$ ${command}`, ...(await session.type(command, lines)))
      }
      transcripts.set(block, { shown: normalize(block.code.trimEnd()), printed: normalize(printed.join('\n')) })
    }
  }
  return transcripts
}

/** Splits a block into commands. A line that ends with a backslash continues on the next line. */
function commandsOf({ code }: CodeBlock): { command: string; lines: number }[] {
  return code
    .trimEnd()
    .split(/^\$ /m)
    .slice(1)
    .map(part => {
      const [, command = ''] = /^((?:.*\\\n)*.*)/.exec(part) ?? []
      const output = part.slice(command.length).trim()
      return { command, lines: output === '' ? 0 : output.split('\n').length }
    })
}

async function startSession(
  installed: string,
): Promise<AsyncDisposable & { type(command: string, lines: number): Promise<string[]> }> {
  const emulator = await new GatewayEmulator().start()
  const folder = mkdtempSync(path.join(tmpdir(), 'vkit-docs-'))
  const bin = path.join(folder, '.bin')
  mkdirSync(bin)
  for (const { name, file } of commands()) {
    writeProgram(path.join(bin, name), `exec "${process.execPath}" "${installedAt(installed, file)}" "$@"`)
  }
  writeProgram(path.join(bin, 'npx'), 'exec "$@"')
  const env = {
    LC_ALL: 'C', // Some shells warn if the locale is not installed.
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    VKIT_APP_SECRET: emulator.appSecret,
    VKIT_BASE_URL: emulator.url,
    NO_COLOR: '1',
  }
  return {
    type: (command, lines) => type(command, lines, { cwd: folder, env }),
    async [Symbol.asyncDispose]() {
      await emulator.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Returns the output of the command. Interrupts the emulator command after it has printed the lines on the page. */
async function type(command: string, lines: number, options: { cwd: string; env: NodeJS.ProcessEnv }) {
  // The port on the page may be in use.
  const child = spawn('sh', ['-c', `exec 2>&1\n${command.replace(/--port \d+/, '--port 0')}`], {
    ...options,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let seen = 0
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString().split('\n').length - 1
    if (seen >= lines && /\bvkit emulator\b/.test(command) && child.pid) process.kill(-child.pid, 'SIGINT')
  })
  const printed = (await text(child.stdout)).trimEnd()
  return printed === '' ? [] : printed.split('\n').slice(0, /\bvkit emulator\b/.test(command) ? lines : undefined)
}

function writeProgram(file: string, body: string): void {
  writeFileSync(file, `#!/bin/sh\n${body}\n`)
  chmodSync(file, 0o755)
}

/** Replaces tokens, times, durations, rates and ports, which differ each time. */
function normalize(session: string): string {
  return session
    .replace(/\beyJ[\w-]*(?:\.[\w-]+){0,2}…?/g, '<token>')
    .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?/g, '<moment>')
    .replace(/\b\d\d:\d\d:\d\d(?:\.\d+)?/g, '<time>')
    .replace(/(127\.0\.0\.1|localhost):\d+/g, '$1:<port>')
    .replace(/\b\d[\d.,]*\s?(ms|s|min|\/s)\b/g, '<n> $1')
    .replace(/\bv?\d+\.\d+\.\d+\b/g, '<version>')
    .replace(/[ \t]+$/gm, '')
}
