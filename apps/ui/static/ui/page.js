// Move the focus to the summary of a form's errors, and show what a passkey reports.

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
