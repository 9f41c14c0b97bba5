import { once } from 'node:events'
import type http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { GatewayFault } from './emulator-fault.js'

const MAX_REQUEST_BYTES = 1024 * 1024

export interface EmulatorResponse {
  readonly status: number
  readonly body: unknown
  readonly headers: GatewayFault['headers']
}

/** Resolves when the server listens, and rejects if it cannot. */
export async function listen(server: http.Server, port: number, host: string): Promise<void> {
  await once(server.listen(port, host), 'listening')
}

/** Returns the address and the port of a server, as a URL has them; undefined if it does not listen. */
export function authorityOf(server: http.Server | undefined): { host: string; port: number } | undefined {
  const address = server?.address() as AddressInfo | null | undefined
  if (!address) return undefined
  return { host: address.family === 'IPv6' ? `[${address.address}]` : address.address, port: address.port }
}

export function errorResponse(status: number, error: string): { status: number; body: object } {
  return { status, body: { error } }
}

export function isSessionRequest(body: unknown): body is { identity: string; scopes: string[] } {
  if (typeof body !== 'object' || body === null) return false
  const { identity, scopes } = body as Record<string, unknown>
  const areScopes = Array.isArray(scopes) && scopes.every(scope => typeof scope === 'string')
  return typeof identity === 'string' && identity !== '' && areScopes
}

export async function readBody(req: http.IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_REQUEST_BYTES) throw new Error('request too large')
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString()
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

export function merge(body: object, changes: Readonly<Record<string, unknown>> | undefined): object {
  return changes === undefined ? body : { ...body, ...changes }
}

export function encode(body: unknown): Buffer {
  if (body instanceof Uint8Array) return Buffer.from(body)
  return Buffer.from(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body))
}

/** Sends the headers of a response and half of its body. */
export function sendHalf(res: http.ServerResponse, status: number, bytes: Buffer): Promise<Socket> {
  const half = bytes.subarray(0, Math.ceil(bytes.length / 2))
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length })
  return new Promise((resolve, reject) => {
    res.write(half, error => {
      if (res.socket && !error) resolve(res.socket)
      else reject(error ?? new Error('The client has disconnected.'))
    })
  })
}
