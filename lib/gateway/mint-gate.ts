import type { MintedToken } from '../token/session-token.js'

/** Lets one process mint for several. Neither method rejects. */
export interface MintGate {
  /**
   * Called when a mint has its turn. Returns whether it is sent, or must wait for the mint of another process; or the
   * token that makes it unnecessary.
   */
  enter(): Promise<'mint' | 'wait' | MintedToken>
  /** Called without a turn. Resolves when the mint may try to have one again, or with the token that it waited for. */
  wait(): Promise<MintedToken | undefined>
}
