/**
 * What a session token allows its bearer to do. The nine are those known of SDK 0.0.6; the gateway may know more, and
 * any other string is passed on to it.
 */
export type Scope =
  | 'videos.admin.read'
  | 'videos.read'
  | 'videos.edit'
  | 'videos.delete'
  | 'videos.create'
  | 'streams.admin.read'
  | 'streams.read'
  | 'streams.create'
  | 'streams.delete'
  | (string & {})

/** Whose token is wanted, and for what; scopes sorted, each once. */
export interface TokenRequest {
  readonly identity: string
  readonly scopes: readonly Scope[]
}

/** What a call may do with what is cached, in the words of `fetch`. */
export type CacheMode = 'default' | 'reload' | 'no-store'

/** One call's options, checked. */
export interface TokenCall {
  readonly mode: CacheMode
  readonly deadlineMs: number
  readonly minValidityMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** One of many, which others need not wait for. */
  readonly isBulk?: boolean
}
