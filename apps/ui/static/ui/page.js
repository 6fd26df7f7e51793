// Move the focus to the summary of a form's errors, and show what a passkey reports.

document.querySelector('.error-summary')?.focus()

const MESSAGES = {
  NotAllowedError: 'The passkey was not used: it was cancelled, or there is none for this site.',
  InvalidStateError: 'This passkey is already registered.',
  SecurityError: 'Passkeys work on this site’s own name only, not on an IP address.',
}

document.addEventListener('allauth.error', (event) => {
  const error = event.detail.exception
  const place = document.getElementById('passkey_error')
  if (!place) return
  place.textContent = MESSAGES[error?.name] ?? 'The passkey could not be used.'
  place.hidden = false
  event.preventDefault()
})
