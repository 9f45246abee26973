// optuna-dashboard says of most refusals only that something failed; this shows why.
{
  const ask = window.fetch;
  window.fetch = async (...request) => {
    const answer = await ask(...request);
    if (answer.status === 403) {
      answer.clone().json().then(({ reason }) => show(reason));
    }
    return answer;
  };

  const box = document.createElement("div");
  box.setAttribute("role", "alert");
  box.title = "Click to close";
  box.onclick = () => box.remove();
  Object.assign(box.style, {
    position: "fixed",
    bottom: "80px",
    left: "20px",
    maxWidth: "40em",
    padding: "12px 16px",
    borderRadius: "4px",
    background: "#323232",
    color: "white",
    font: "14px sans-serif",
    overflowWrap: "anywhere",
    zIndex: 2000,
  });

  const show = (reason) => {
    box.textContent = `histsearch: ${reason}`;
    document.body.append(box);
  };
}
