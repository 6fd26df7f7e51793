// The thread of a task: send a question, and show what was said. It is loaded when it is needed.

const PATIENCE_MS = 20_000

export async function loadThread({ questions, state, keep, body }) {
  const error = document.getElementById('question-error')
  const answer = await fetch(questions.dataset.thread, {
    method: body ? 'POST' : 'GET', body, redirect: 'manual', signal: AbortSignal.timeout(PATIENCE_MS), headers: { Accept: 'application/json', 'X-CSRFToken': state.token },
  }).catch(() => null)
  // The thread is HTML, and a refusal JSON.
  const refusal = answer?.headers.get('Content-Type')?.includes('json') ? await answer.json() : null
  const isDone = Boolean(answer?.ok) && !refusal
  error.hidden = isDone || !body
  if (!isDone) {
    error.textContent = refusal?.detail ?? questions.dataset.failed
    return
  }
  document.getElementById('thread').innerHTML = await answer.text()
  if (body) {
    document.getElementById('question').value = ''
    keep()
  }
}
