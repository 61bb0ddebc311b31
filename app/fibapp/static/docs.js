// Shows the API document; everything comes from this server.
document.documentElement.classList.toggle("dark-mode", matchMedia("(prefers-color-scheme: dark)").matches);
const element = document.getElementById("swagger");
SwaggerUIBundle({ url: element.dataset.document, dom_id: "#swagger", deepLinking: true, validatorUrl: null });
