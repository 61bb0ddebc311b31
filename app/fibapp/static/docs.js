// Shows the API document; everything comes from this server.
const element = document.getElementById("swagger");
SwaggerUIBundle({ url: element.dataset.document, dom_id: "#swagger", deepLinking: true, validatorUrl: null });
