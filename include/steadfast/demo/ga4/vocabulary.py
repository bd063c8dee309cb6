"""The words that made-up values are built from: places, paths, campaigns, events, items. A new value is one entry."""

MEDIUMS = {
    "Direct": "(none)",
    "Organic Search": "organic",
    "Email": "email",
    "Paid Search": "cpc",
    "Organic Social": "social",
    "Paid Social": "paid-social",
    "Display": "display",
    "Referral": "referral",
    "Organic Video": "video",
    "Paid Other": "cpm",
    "Paid Video": "cpv",
}
CREATIVES = ("open-enrollment", "weekly-digest", "service-update", "season-start", "office-hours", "new-forms", "recall-notice")
SECTIONS = ("about", "services", "news", "forms", "data", "careers", "contact", "programs", "help", "locations")
TOPICS = ("overview", "apply", "benefits", "status", "reports", "guides", "events", "policy", "grants", "archive")

CITIES: dict[tuple[str, str, str, str], float] = {
    ("US", "United States", "(not set)", "(not set)"): 4.0,
    ("US", "United States", "California", "Los Angeles"): 8.0,
    ("US", "United States", "California", "San Jose"): 3.0,
    ("US", "United States", "Colorado", "Denver"): 3.0,
    ("US", "United States", "District of Columbia", "Washington"): 7.0,
    ("US", "United States", "Florida", "Miami"): 4.0,
    ("US", "United States", "Georgia", "Atlanta"): 5.0,
    ("US", "United States", "Illinois", "Chicago"): 6.0,
    ("US", "United States", "Massachusetts", "Boston"): 3.0,
    ("US", "United States", "Minnesota", "Minneapolis"): 2.0,
    ("US", "United States", "New York", "New York"): 10.0,
    ("US", "United States", "Ohio", "Columbus"): 2.5,
    ("US", "United States", "Pennsylvania", "Philadelphia"): 3.5,
    ("US", "United States", "Texas", "Dallas"): 6.0,
    ("US", "United States", "Texas", "Houston"): 4.5,
    ("US", "United States", "Virginia", "Ashburn"): 7.5,
    ("US", "United States", "Washington", "Seattle"): 3.2,
    ("CA", "Canada", "Ontario", "Toronto"): 2.0,
    ("CA", "Canada", "Quebec", "Montréal"): 0.8,
    ("DE", "Germany", "Hesse", "Frankfurt"): 0.9,
    ("GB", "United Kingdom", "England", "London"): 1.5,
    ("IN", "India", "Karnataka", "Bengaluru"): 1.8,
    ("IN", "India", "Maharashtra", "Mumbai"): 1.4,
    ("JP", "Japan", "Tokyo", "Chiyoda City"): 0.5,
    ("MX", "Mexico", "Mexico City", "(not set)"): 1.2,
    ("PH", "Philippines", "Metro Manila", "Quezon City"): 0.9,
    ("(not set)", "(not set)", "(not set)", "(not set)"): 0.3,
}

HOURS = (2.2, 1.6, 1.2, 1.0, 1.1, 1.6, 2.6, 4.0, 5.6, 6.6, 7.0, 7.1, 6.9, 6.9, 6.8, 6.4, 5.6, 4.8, 4.3, 4.1, 4.0, 3.8, 3.2, 2.7)
AGES = {"18-24": 9.0, "25-34": 17.0, "35-44": 15.0, "45-54": 12.0, "55-64": 11.0, "65+": 9.0, "unknown": 27.0}
GENDERS = {"female": 38.0, "male": 35.0, "unknown": 27.0}
EVENTS = {
    "click": 9.0,
    "file_download": 2.0,
    "first_visit": 8.0,
    "generate_lead": 0.2,
    "page_view": 34.0,
    "purchase": 0.05,
    "scroll": 18.0,
    "session_start": 17.0,
    "user_engagement": 12.0,
}
ITEMS: dict[tuple[str, ...], float] = {
    ("BK-1001", "Field guide, spiral bound", "Press Office", "Books"): 9.0,
    ("BK-1002", "Annual report, printed", "Press Office", "Books"): 6.0,
    ("BK-1003", "Atlas of public lands", "Press Office", "Books"): 4.0,
    ("MP-2001", "Topographic map 1:24,000", "Survey", "Maps"): 8.0,
    ("MP-2002", "Trail map, waterproof", "Survey", "Maps"): 7.0,
    ("PS-3001", "Annual park pass", "Parks", "Passes"): 12.0,
    ("PS-3002", "Senior park pass", "Parks", "Passes"): 5.0,
    ("ST-4001", "Forever stamps, book of 20", "Post", "Stamps"): 11.0,
    ("ST-4002", "Commemorative stamps, sheet", "Post", "Stamps"): 3.0,
    ("SV-5001", "Certified copy of a record", "Archives", "Services"): 6.0,
    ("SV-5002", "Expedited processing", "Archives", "Services"): 2.0,
    ("SV-5003", "Photograph, archival print", "Archives", "Services"): 2.5,
}
