import { once } from 'node:events'
import type { SessionTokenResult } from '../../options/types.js'
import type { SessionToken } from '../../token/session-token.js'
import { toJson } from '../terminal.js'

/** A destination for tokens. */
export interface TokenSink {
  /** Accepts every result, including failures. Returns or resolves when the sink can accept the next one. */
  write(result: SessionTokenResult): Promise<void> | void
  close(): void
}

/** Formats a token as a line of NDJSON. */
export function formatToken({ identity, sessionToken, expiresAt, scopes }: SessionToken): string {
  return `${toJson({ identity, sessionToken, expiresAt, scopes })}\n`
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

async function print(text: string, signal: AbortSignal): Promise<void> {
  if (text === '' || process.stdout.write(text)) return
  await once(process.stdout, 'drain', { signal }).catch(() => undefined)
}
