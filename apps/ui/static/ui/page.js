// Move the focus to the summary of a form's errors, show what a passkey reports, and let a worker who
// signs out leave nothing on this device.

import './time_zone.js';

document.querySelector('.error-summary')?.focus()

document.addEventListener('allauth.error', (event) => {
  const error = event.detail.exception
  const place = document.getElementById('passkey_error')
  if (!place) return
  // The server renders the texts, in the page's language: data-not-allowed-error and others.
  const name = (error?.name ?? '').replace(/^[A-Z]/, (letter) => letter.toLowerCase())
  place.textContent = place.dataset[name] ?? place.dataset.other
  place.hidden = false
  event.preventDefault()
})

const device = document.getElementById('device')?.dataset
for (const form of device ? document.querySelectorAll('form[data-sign-out]') : []) {
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    // A failure here must not prevent the sign-out.
    import(device.device).then((one) => one.signOut(form, device)).catch(() => form.submit())
  })
}
