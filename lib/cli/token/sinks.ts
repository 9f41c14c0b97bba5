import { once } from 'node:events'
import type { SessionTokenResult } from '../../options/types.js'
import type { SessionToken } from '../../token/session-token.js'
import { formatToken, type TokenFile } from './output-file.js'

/** A destination for tokens. */
export interface TokenSink {
  /** Accepts every result, including failures. Resolves when the sink can accept the next one. */
  write(result: SessionTokenResult): Promise<void>
  close(): void
}

/** Prints one token per line, in the order of `identities`, with an empty line for each failure. */
export function plainSink(identities: readonly string[], signal: AbortSignal): TokenSink {
  const lines = new Map<string, string>()
  let next = 0
  return {
    async write({ identity, token }) {
      lines.set(identity, token?.sessionToken ?? '')
      for (; next < identities.length; next++) {
        const line = lines.get(identities[next] ?? '')
        if (line === undefined) return
        await print(`${line}\n`, signal)
      }
    },
    close: () => undefined,
  }
}

/** Prints one JSON object per line, in the order of the results. */
export function jsonSink(signal: AbortSignal): TokenSink {
  return { write: async ({ token }) => print(token ? formatToken(token) : '', signal), close: () => undefined }
}

export function fileSink(file: TokenFile): TokenSink {
  return { write: async ({ token }) => ifToken(token, each => file.append(each)), close: () => file.close() }
}

function ifToken(token: SessionToken | undefined, use: (token: SessionToken) => void): void {
  if (token) use(token)
}

async function print(text: string, signal: AbortSignal): Promise<void> {
  if (text === '' || process.stdout.write(text)) return
  await once(process.stdout, 'drain', { signal }).catch(() => undefined)
}
