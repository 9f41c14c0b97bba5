// A token endpoint on AWS Lambda, behind an API Gateway HTTP API or a function URL (payload format 2.0).
import { VKitClient } from '@video-io/videokit-nodejs'
import { createFetchTokenHandler } from '@video-io/videokit-nodejs/handlers'

// Outside of the handler: tokens and connections are kept from one invocation to the next. The secret is read from the
// environment's VKIT_APP_SECRET, or from a function, which may ask Secrets Manager.
const vkit = new VKitClient()

const answer = createFetchTokenHandler(vkit, {
  // Of a JWT authorizer, which has checked the user's own bearer token before this function is called.
  authenticate: ({ event }) => event.requestContext.authorizer?.jwt?.claims.sub,
})

export async function handler(event) {
  const response = await answer({ method: event.requestContext.http.method, event })
  return {
    statusCode: response.status,
    headers: Object.fromEntries(response.headers),
    body: await response.text(),
  }
}
