// Tell the server the browser's time zone: the pages of the console show times in it.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
if (zone && !document.cookie.includes(`time_zone=${zone}`)) {
  document.cookie = `time_zone=${zone};path=/;max-age=31536000;samesite=lax`
}
