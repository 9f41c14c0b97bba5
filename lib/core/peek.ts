/**
 * Property of `getSessionToken`: a function that returns the cached token, if the call need not wait.
 *
 * A handler then needs no signal. It belongs to the method, so that a wrapper or an override of the method is not
 * bypassed. `Symbol.for`, because a handler and a client may come from two copies of this package.
 */
export const PEEK: unique symbol = Symbol.for('@video-io/videokit-nodejs/peek') as never
