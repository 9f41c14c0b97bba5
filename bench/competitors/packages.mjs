// Server SDKs that a backend may load beside ours. An entry is all that a new one needs.
export const OURS = '@video-io/videokit-nodejs'
export const REFERENCE = 'stripe'

export const packages = [
  OURS,
  REFERENCE,
  'openai',
  '@octokit/auth-app',
  'livekit-server-sdk',
  'twilio',
  '@azure/identity',
  'google-auth-library',
]
